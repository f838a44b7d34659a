"""Labelled images: sets read from disk, connected components, splits and folds, protocols."""

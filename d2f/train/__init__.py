"""Training by recipe: `run.train` tells the story; its two fitters are in `estimator` and `network`."""

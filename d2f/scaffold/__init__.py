"""A new plugin, written from templates: what `d2f plugin new` does."""

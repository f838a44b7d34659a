"""A new plugin, written from templates (`new.py`): what `d2f plugin new` does."""

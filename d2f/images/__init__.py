"""Images found (`walk.py`, `files.py`), bounded, and decoded to upright sRGB (`read.py`)."""

"""`d2f serve`: a chain kept loaded behind a page and an API; `app.py` tells the story."""

"""The contracts between d2f and its plugins; imports nothing else of d2f and no array library."""

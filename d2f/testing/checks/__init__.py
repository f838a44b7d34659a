"""What is held of stages, a file for each subject."""

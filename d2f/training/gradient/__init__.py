"""`d2f train` for networks: tiles, augmentation, the step, schedules, checkpoints, and what a run leaves behind."""

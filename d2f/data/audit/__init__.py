"""What gives the labels away, which files stand twice, and which labels look wrong."""

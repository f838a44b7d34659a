"""What is in force on this machine: device, BLAS, speed, formats, plugins, weights; `d2f doctor` prints it."""

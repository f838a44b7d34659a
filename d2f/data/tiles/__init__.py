"""Large pictures cut into tiles."""

"""Chain files read, checked, drawn, built into a plan, and written."""

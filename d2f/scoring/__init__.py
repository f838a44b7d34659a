"""Labelled images scored under a protocol and under attacks: the table that fitting and the bench start from."""

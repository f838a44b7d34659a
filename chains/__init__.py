"""The chains that ship with d2f, found by name: `d2f chain run robust photos/`."""

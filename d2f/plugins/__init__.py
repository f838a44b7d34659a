"""The catalog: entry points loaded one by one, stages found and built by name."""

"""A new plugin, written from templates: what `d2f plugin new` does."""

from __future__ import annotations

from d2f.scaffold.new import SCAFFOLDS, Names, new_plugin, read_name

__all__ = ["SCAFFOLDS", "Names", "new_plugin", "read_name"]

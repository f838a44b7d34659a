"""A new plugin, written from templates: what `d2f plugin new` does."""

from __future__ import annotations

from d2f.scaffold.names import Names, read_name
from d2f.scaffold.write import SCAFFOLDS, new_plugin

__all__ = ["SCAFFOLDS", "Names", "new_plugin", "read_name"]

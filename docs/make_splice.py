"""Write what reports know of heat maps: the figures of `d2f bench --splice` over all sizes of patch.

    d2f bench fast --data $D2F_DATA/val --splice --limit 100 -o DIR
    python docs/make_splice.py DIR/splice.json …

Figures of other chains, or of other weights, stay as they are in d2f/explain/splice.json.
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "d2f" / "explain" / "splice.json"


def entries(path: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return, by key and map, what one file of figures says."""
    held = json.loads(Path(path).read_text("utf-8"))
    whole = {(one["key"], one["kind"], one["patch"]): one for one in held["figures"] if one["size"] is None}
    found = {}
    for (key, kind, patch), one in whole.items():
        if patch == "generated" and one["share"] is not None and one["low"] is not None:
            control = whole.get((key, kind, "photograph"), {}).get("share")
            figures = {name: one[name] for name in ("chain", "kind", "share", "low", "high", "images")}
            today = datetime.date.today().isoformat()
            found[key, kind] = {"key": key, **figures, "control": control, "date": today}
    return found


def main(paths: list[str]) -> None:
    """Put the figures of several files into d2f/explain/splice.json."""
    found = {(one["key"], one["kind"]): one for one in json.loads(TARGET.read_text("utf-8"))}
    for path in paths:
        found |= entries(path)
    TARGET.write_text(json.dumps([found[key] for key in sorted(found)], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

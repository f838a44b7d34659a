"""What a bench leaves in its folder: bench.json, rows.parquet, report.md, report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError
from d2f.bench.asked import SCHEMA
from d2f.output import refusals
from d2f.output.append import Mode

JSON, ROWS, MARKDOWN, HTML, PARTS = "bench.json", "rows.parquet", "report.md", "report.html", "parts"


def open_folder(folder: Path, mode: Mode) -> Path:
    """Make the folder and return where parts of a run under way belong.

    Raises
    ------
    D2FError
        D2F004 where it cannot be made, holds something that is not to be replaced, or nothing left to resume.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusals.cannot_open(str(folder), error) from error
    if mode == "new" and ((folder / JSON).exists() or (folder / PARTS).exists()):
        raise refusals.exists(str(folder))
    if mode == "resume" and (folder / JSON).exists() and not (folder / PARTS).exists():
        raise D2FError.of("D2F004", f"'{folder}' holds a finished bench", "to replace it: --overwrite")
    if mode == "overwrite":
        # So that nobody takes the old result for that of a run that was killed.
        (folder / JSON).unlink(missing_ok=True)
    return folder / PARTS


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    D2FError
        D2F004 where it cannot be written.
    """
    under_way = path.with_name(f".{path.name}.tmp")
    with refusals.explained(str(path)):
        under_way.write_text(text, "utf-8")
        under_way.rename(path)


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result; see `read_result`."""
    write_text(path, json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")


def read_result(place: str) -> dict[str, Any]:
    """Read a result from its folder or from bench.json itself.

    Raises
    ------
    D2FError
        D2F002 where there is none, D2F006 where it is not a bench.json of this version.
    """
    path = Path(place) / JSON if Path(place).is_dir() else Path(place)
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise D2FError.of("D2F002", f"there is no bench in '{place}'", "give its folder, or its bench.json") from None
    except (OSError, ValueError) as error:
        raise _strange(place, str(error)) from error
    if not isinstance(found, dict) or found.get("d2f_bench") != SCHEMA:
        raise _strange(place, f"not a bench.json of version {SCHEMA}")
    return found


def _strange(place: str, why: str) -> D2FError:
    return D2FError.of("D2F006", f"'{place}' cannot be read: {why}", "d2f bench … -o DIR writes one")

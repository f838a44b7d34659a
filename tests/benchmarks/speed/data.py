"""The file of all measurements, a line of JSON each: the newest of a case and a number of cores counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.cases import Case

FILE = Path(__file__).with_name("measured.jsonl")

Record = dict[str, Any]


def key(case: Case, cores: int) -> str:
    """Return what two measurements of the same have in common."""
    return json.dumps([case.kind, case.what, case.work, case.batch, cores])


def key_of(record: Record) -> str:
    """Return the key of a record; that of a profile is its own."""
    return key(Case.read(record["case"]), record["cores"]) + (" profile" if "shares" in record else "")


def read(file: Path) -> dict[str, Record]:
    """Return the records of a file by their keys; none where there is no file. A line that broke off is left out."""
    if not file.exists():
        return {}
    found: dict[str, Record] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[key_of(record)] = record
    return found


def in_order(cases: Iterable[Case], known: Mapping[str, Record]) -> list[Record]:
    """Return the records of cases, on one core and on two, each followed by its profile."""
    keys = [key(case, cores) + more for case in cases for cores in (1, 2) for more in ("", " profile")]
    return [known[key] for key in keys if key in known]


def add(file: Path, record: Record) -> None:
    """Append a record; what is there stays where the process is killed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(record) + "\n")


def tidy(file: Path, kept: Iterable[Record]) -> None:
    """Write the file anew with the newest of each."""
    file.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")

"""Write docs/research/provenance-files.md: what d2f says of each listed file beside what the list says of it.

    python docs/make_provenance.py $D2F_DATA/../provenance/files

The folder holds the files and `files.csv`, which names their sources, what the standard says of each, and what
c2pa-python and ExifTool answer. It needs the extra `c2pa`; no picture is shown.
"""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from d2f_provenance.reader import Provenance, ProvenanceOptions

from d2f import D2FError, Evidence
from d2f.images.read import read_image

PAGE = Path(__file__).parent / "research" / "provenance-files.md"
HEAD = """# The provenance files, one by one

{count} files: pictures of products and of test suites, pictures made for one field each, broken ones, and
negatives (files that must not count). "It holds" and "c2pa-python" are what the list says of each file: the
field by the standard, and the answer of c2pa-python with both shipped trust lists. The last columns are d2f's:
its sentence with the state, and the likelihood ratio that it counts. `tests/plugins/test_provenance_files.py`
holds d2f to the list; `python docs/make_provenance.py FOLDER` writes this page.

{counts}. **False alarms among the {negatives} negatives: {alarms}.** Signed files of the test suites are signed
by test certificates, which no list of the world holds: "signer not on the list" is right for them, and with the
test roots as `--trust-list` they read as trusted (the tests hold that too).
"""


def findings(path: Path, stage: Provenance) -> tuple[Evidence, ...]:
    """Return what d2f says of a file."""
    try:
        pixels = read_image(str(path)).pixels
    except D2FError:
        pixels = None
    return stage.read(path.read_bytes(), pixels)


def cell(text: str) -> str:
    """Return a text as a cell of a table."""
    return " ".join(text.replace("|", "/").replace("<", "&lt;").split())


def lines(folder: Path) -> Iterator[str]:
    """Yield the page's lines."""
    with open(folder / "files.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    stage = Provenance(ProvenanceOptions())
    found = {row["file"]: findings(folder / row["file"], stage) for row in rows}
    ratio = {name: math.exp(sum(one.llr for one in ones)) for name, ones in found.items()}
    negatives = [name for name in found if name.startswith(("negatives/", "made/xmp-negative/"))]
    kinds = Counter(kind for ones in found.values() for kind in {one.kind for one in ones})
    counts = ", ".join(f"{kind} in {number}" for kind, number in sorted(kinds.items()))
    silent = sum(not ones for ones in found.values())
    alarms = sum(ratio[name] > 1.01 for name in negatives)
    yield HEAD.format(
        count=len(rows), counts=f"Findings: {counts}; none in {silent}", negatives=len(negatives), alarms=alarms
    )
    for part, group in groupby(rows, lambda row: str(Path(row["file"]).parent)):
        yield f"## {part}\n"
        yield "| file | it holds | c2pa-python | d2f says | ratio |"
        yield "|---|---|---|---|--:|"
        for row in group:
            said = " ".join(f"{one.statement} *({one.trust})*" for one in found[row["file"]]) or "nothing"
            shown = [row["expected"], row["c2pa_and_interim"], said]
            times = ratio[row["file"]]
            number = f"{times:.0f}" if times >= 0.99 else f"1/{1 / times:.0f}"
            yield f"| {Path(row['file']).name} | {' | '.join(map(cell, shown))} | {number} |"
        yield ""


def page(folder: Path) -> str:
    """Return the page."""
    return "\n".join(lines(folder)).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(Path(sys.argv[1])), "utf-8")

"""Write docs/reference/measured.md: what every shipped chain is worth on a set, measured now.

    python docs/make_measured.py $D2F_DATA/val measured

runs `d2f bench` with every shipped chain and the grid `core` into the folder `measured` (again with the same folder: it
goes on where it stopped), and writes the page. It takes a while; `--page` writes the page of a bench that has run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from d2f.bench.report import markdown
from d2f.bench.write import PARTS, read_result
from d2f.chain.shipped import shipped_names
from d2f.cli.main import main as d2f

PAGE = Path(__file__).resolve().parent / "reference" / "measured.md"

INTRODUCTION = """# Measured

What every shipped chain is worth on images that nothing was trained or fitted on: {images} images of
`{root}`, from other collections than the chains know. One choice, which flatters `deep`, is owed to a look at such
images: [Experiments](../explanation/experiments.md) lists every look.{drawn} Made on {date} with d2f {version} by

    python docs/make_measured.py {root} measured{option}

which runs `d2f bench` with the grid `core` under the matched protocol: both classes cropped to the centre 320 pixels
and encoded alike before anything else, so that format, size and quality cannot tell the label. What the figures mean
is in [Bench your detector](../how-to/bench-your-detector.md). They hold for images like these; a probability holds for
data like those that its chain was fitted on, and generators change.

The set's `data` digest is `{digest}`.
"""

DRAWN = """ They are a part of
it, drawn by seed (each class keeps its share, each collection nearly), because the whole would have taken too long:
intervals are wider than they need be."""


def page(result: Mapping[str, Any], root: str) -> str:
    """Return the page of a result; `root` is what it calls the folder of images."""
    named = {**result, "data": {**result["data"], "root": root}}
    told = {**result["data"], "root": root, "date": result["date"], "version": result["d2f"], "drawn": "", "option": ""}
    if limit := result["data"].get("limit"):
        told |= {"drawn": DRAWN, "option": f" --limit {limit}"}
    return "\n".join([INTRODUCTION.format(**told), *_one_level_down(markdown(named, speed=False))]) + "\n"


def _one_level_down(text: str) -> Iterator[str]:
    """The report's headings below the page's own, and no warnings that name a file."""
    for line in text.splitlines():
        if not line.startswith("- warning:"):
            yield f"#{line}" if line.startswith("#") else line


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder or manifest of labelled images")
    parser.add_argument("folder", help="where the bench keeps its files")
    parser.add_argument("--page", action="store_true", help="write the page only, of a bench that has run")
    parser.add_argument("--called", default="$D2F_DATA/val", help="what the page calls the images' folder")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--limit", help="take so many images only, drawn by seed")
    parser.add_argument("--features", help="keep what towers make of pictures there, as `d2f bench` does")
    given = parser.parse_args()
    if not given.page:
        mode = "--resume" if (Path(given.folder) / PARTS).exists() else "--overwrite"
        options = ["--data", given.data, "--grid", "core", "--workers", given.workers, "-o", given.folder, mode]
        for name in ("limit", "features"):
            options += [f"--{name}", getattr(given, name)] if getattr(given, name) else []
        code = d2f(["bench", *shipped_names(), *options])
        if code not in (0, 1):
            return code
    PAGE.write_text(page(read_result(given.folder), given.called), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

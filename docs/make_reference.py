"""Write the reference pages that are made from the code: `python docs/make_reference.py`.

A test holds the committed pages to what this makes, so that they cannot go stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from d2f import CODES
from d2f.chain.reference import chain_file_page

DOCS = Path(__file__).resolve().parent
BAD = DOCS.parent / "tests" / "chains" / "bad"

ROOMS = {
    "0": ("The command line and its files", "Exit code 2, or 1 where other files went through."),
    "1": ("The chain file", "`d2f chain check CHAIN` prints all of them at once. Exit code 2."),
    "2": ("Plugins", "`d2f plugin check NAME` shows the traceback. Exit code 3 where the chain needs the plugin."),
    "3": ("Images", "The image's row carries the code in `error`; the others go on. Exit code 1."),
    "4": ("Stages at work", "The cell carries the code in `error`; the image's other cells stand. Exit code 1."),
    "5": ("Weights", "Exit code 3, but for missing weights, on which a stage abstains."),
    "6": ("Data, fitting and training", "Exit code 2."),
}


def examples() -> dict[str, str]:
    """Return, for each code that a snapshot of a bad chain shows, the first text printed with it."""
    found: dict[str, str] = {}
    for snapshot in sorted(BAD.glob("*.txt")):
        for text in snapshot.read_text("utf-8").split("\n\n"):
            code = re.match(r"(?:error|warning)\[(D2F\d+)\]", text)
            if code and code[1] not in found:
                found[code[1]] = text.rstrip()
    return found


def errors_page() -> str:
    """Return docs/reference/errors.md."""
    printed = examples()
    lines = ["# Errors", "", "Every problem has a code, a place and a next step. Exit codes:", ""]
    lines += ["| exit code | meaning |", "|---|---|"]
    lines += [
        "| 0 | every image scored |",
        "| 1 | some image or cell failed |",
        "| 2 | the command line, the chain file or the data |",
        "| 3 | a plugin that the chain needs is broken |",
        "| 70 | a bug in d2f |",
        "| 130 | interrupted |",
        "",
    ]
    room = ""
    for code, meaning in sorted(CODES.items()):
        if code[3] != room:
            room = code[3]
            title, note = ROOMS[room]
            lines += [f"## {title}", "", note, ""]
        lines += [f"### {code}", "", f"{meaning[0].upper()}{meaning[1:]}.", ""]
        if code in printed:
            lines += ["```text", printed[code], "```", ""]
    return "\n".join(lines)


PAGES = {"reference/errors.md": errors_page, "reference/chain-file.md": chain_file_page}
"""Every generated page and what makes it."""


def main() -> None:
    """Write every generated page."""
    for name, make in PAGES.items():
        target = DOCS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(make(), "utf-8")


if __name__ == "__main__":
    main()

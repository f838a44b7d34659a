"""Write the picture of README.md, what `d2f judge` prints now of its own pictures: python docs/make_readme.py."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "answer.svg"
COMMAND = ("d2f", "judge", "docs/tutorial/images")


def answer() -> str:
    """Return what `d2f judge` prints for the tutorial's pictures."""
    program = Path(sys.executable).with_name("d2f")
    done = subprocess.run([str(program), *COMMAND[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    return f"$ {' '.join(COMMAND)}\n{done.stdout}{done.stderr}"


def terminal_picture(text: str) -> str:
    """Return an SVG of a terminal that shows the text."""
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    for line in text.splitlines():
        style = "bold" if line.startswith("$") else "cyan" if line and not line.startswith(" ") else ""
        console.print(Text(line, style))
    # The fonts that rich would fetch from elsewhere go; a reader's own monospace font does.
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="d2f", unique_id="d2f"), flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(terminal_picture(answer()), "utf-8")

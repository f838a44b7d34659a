"""Write the picture of d2f's answer, the chart and the table of README.md.

    python docs/make_readme.py measured

`measured` is the folder of a bench that docs/make_measured.py has run. The answer is what `d2f judge` prints now.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from d2f.evaluate.bench import read_result

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
MARKS = ("<!-- measured -->", "<!-- /measured -->")
COMMAND = ("d2f", "judge", "docs/tutorial/images")
SHOWN = ("deep", "robust")
ATTACKS = ("none", "wiener-7", "jpeg-60", "grey", "messenger", "scan")
COLOURS = {"deep": "#1f6f8b", "robust": "#c0792a"}


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


def table(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of README.md."""
    yield "| chain | attack | AUC [95 %] | photographs called generated | generated found | inconclusive |"
    yield "|---|---|--:|--:|--:|--:|"
    for chain, attack, figures in _rows(result):
        low, high = figures["auc"][1:3]
        shares = (f"{100 * figures[name][0]:.0f} %" for name in ("false_positive", "true_positive", "inconclusive"))
        yield f"| `{chain}` | {attack} | {figures['auc'][0]:.3f} [{low:.3f}, {high:.3f}] | {' | '.join(shares)} |"


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    systems = {
        system["name"]: system for system in result[next(key for key in ("systems", "subjects") if key in result)]
    }
    for chain in SHOWN:
        found = systems[chain]["figures"]
        for attack in dict.fromkeys((*ATTACKS, systems[chain]["worst"]["auc"])):
            if attack in found:
                yield chain, "clean" if attack == "none" else attack, found[attack]


def chart(result: Mapping[str, Any]) -> str:
    """Return an SVG of the AUC of each chain under each attack, with intervals."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = list(_rows(result))
    figure = Figure(figsize=(7, 0.32 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    for place, (chain, _, figures) in enumerate(reversed(rows)):
        value, low, high = figures["auc"][:3]
        axes.plot([low, high], [place, place], color=COLOURS[chain], linewidth=2)
        axes.plot([value], [place], "o", color=COLOURS[chain])
    axes.set_yticks(range(len(rows)), [f"{chain}, {attack}" for chain, attack, _ in reversed(rows)])
    axes.axvline(0.5, color="grey", linewidth=0.8)
    axes.set_xlim(0.45, 1.0)
    axes.set_xlabel("AUC on collections that nothing was trained or fitted on; lines: 95 % intervals")
    file = io.StringIO()
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "d2f", "svg.fonttype": "none", "font.size": 8}):
        FigureCanvasSVG(figure)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "d2f"})
    return re.sub(r"[ \t]+\n", "\n", file.getvalue())


def with_measured(readme: str, lines: Iterator[str], result: Mapping[str, Any]) -> str:
    """Return README.md with the measured part between its marks replaced."""
    data = result["data"]
    said = (
        f"On {data['images']} validation images of {data['components']} independent collections that nothing was\n"
        f"trained or fitted on, whole pictures, both labels scaled and encoded alike (`d2f bench`, {result['date']}):"
    )
    picture = "![AUC of each chain under each attack](docs/images/accuracy.svg)"
    body = "\n".join([MARKS[0], said, "", *lines, "", picture, MARKS[1]])
    start, end = readme.index(MARKS[0]), readme.index(MARKS[1]) + len(MARKS[1])
    return readme[:start] + body + readme[end:]


def main() -> None:
    """Write the pictures and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="a bench that has run")
    parser.add_argument("--answer-only", action="store_true", help="write the picture of the answer alone")
    given = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "answer.svg").write_text(terminal_picture(answer()), "utf-8")
    if given.answer_only:
        return
    result = read_result(given.folder)
    (IMAGES / "accuracy.svg").write_text(chart(result), "utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_measured(readme.read_text("utf-8"), table(result), result), "utf-8")


if __name__ == "__main__":
    main()

"""Write what README.md shows: the picture of an answer, and the table and chart of how good the chains are.

python docs/make_readme.py             the picture: what `d2f judge` prints now of the tutorial's images
python docs/make_readme.py measured    table and chart too, of the bench that docs/make_measured.py ran into `measured`
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plain_svg import write_svg
from rich.console import Console
from rich.text import Text

from d2f.evaluate.bench import read_result
from d2f.report.tables import markdown_table, with_bounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
COMMAND = ("d2f", "judge", "docs/tutorial/images")
CHAINS = {"deep": "#2a6fbb", "robust": "#d9622b"}
"""The two that README names, and their colours."""

BEGIN, END = "<!-- measured: python docs/make_readme.py measured -->", "<!-- end -->"
SHARES = ("true_positive", "miss", "false_positive", "inconclusive")
HEADINGS = ("chain", "AUC [95 %]", "at worst", "generated found", "called real", "false alarms", "inconclusive")


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
    """Yield README's table: clean figures, and the lowest AUC under an attack that is not refused."""
    rows = []
    for system in _systems(result):
        clean, judged = system["figures"]["none"], _judged(system)
        least, worst = min((system["figures"][attack]["auc"][0], attack) for attack in judged)
        shares = (f"{100 * clean[name][0]:.0f} %" for name in SHARES)
        rows.append((f"`{system['name']}`", with_bounds(clean["auc"]), f"{least:.3f} ({worst})", *shares))
    yield from markdown_table(HEADINGS, rows)


def chart(result: Mapping[str, Any]) -> Figure:
    """Return the AUC of each chain under each attack, with its interval; what is worst for `deep` at the bottom."""
    from matplotlib.figure import Figure

    systems = _systems(result)
    attacks = sorted(systems[0]["figures"], key=lambda attack: systems[0]["figures"][attack]["auc"][0])
    figure = Figure(figsize=(7.0, 0.9 + 0.22 * len(attacks)), layout="constrained")
    axis = figure.subplots()
    for place, system in enumerate(systems):
        found = [system["figures"][attack]["auc"] for attack in attacks]
        values, low, high = ([one[part] for one in found] for part in range(3))
        errors = [[v - b for v, b in zip(values, low, strict=True)], [t - v for v, t in zip(values, high, strict=True)]]
        heights = [number + 0.15 - 0.3 * place for number in range(len(attacks))]
        axis.errorbar(
            values, heights, xerr=errors, fmt="o", ms=3, lw=1, color=CHAINS[system["name"]], label=system["name"]
        )
    axis.set_yticks(range(len(attacks)), ["as judged" if attack == "none" else attack for attack in attacks])
    axis.axvline(0.5, color="grey", lw=0.8, ls=":")
    axis.set_xlabel("AUC, 95 % interval over collections; .5 is a coin")
    axis.legend(frameon=False, loc="lower right")
    return figure


def _judged(system: Mapping[str, Any]) -> list[str]:
    """Return the attacks under which preconditions let at least half of either label through."""
    refused = system["refused"]
    return [attack for attack in system["figures"] if max(refused.get(attack, {}).values(), default=0.0) < 0.5]


def _systems(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    named = {system["name"]: system for system in result["systems"]}
    return [named[name] for name in CHAINS if name in named]


def main() -> None:
    """Write."""
    (IMAGES / "answer.svg").write_text(terminal_picture(answer()), "utf-8")
    if folder := sys.argv[1:]:
        result = read_result(folder[0])
        write_svg(lambda: chart(result), IMAGES / "measured.svg")
        text = (ROOT / "README.md").read_text("utf-8")
        (before, _, rest), wanted = text.partition(BEGIN), "\n".join(table(result))
        (ROOT / "README.md").write_text(f"{before}{BEGIN}\n{wanted}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()

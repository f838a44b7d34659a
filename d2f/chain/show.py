"""A chain drawn for a person: its views, a grid of detectors and views, how it decides, what it was fitted on."""

from __future__ import annotations

from collections.abc import Iterator

from d2f.chain.chain import Chain
from d2f.chain.drawing import Ink, Line, line, table
from d2f.chain.show_grid import cell_tables, grid
from d2f.chain.show_words import call, called

SHORT = 12
"""Characters of a digest that are shown."""


def draw(chain: Chain) -> list[Line]:
    """Return the drawing of a chain, as lines of styled text."""
    lines = [*_head(chain), *_views(chain), *_grid(chain), *_decision(chain), *_weights(chain), *_fitted(chain)]
    return lines[:-1] if lines and not lines[-1] else lines


def _head(chain: Chain) -> Iterator[Line]:
    yield line(Ink(chain.name, "bold"), *([f"  {chain.file.description}"] if chain.file.description else []))
    yield line(Ink(f"digest {chain.digest}", "dim"))
    if chain.images:
        yield line(f"images {', '.join(chain.images)}")
    yield ()


def _views(chain: Chain) -> Iterator[Line]:
    yield line(Ink("Views", "bold"))
    used = {view for detector in chain.plan.detectors for view in detector.views}
    for name, steps in {"plain": [], **chain.file.views}.items():
        path = "".join(f" ─ {call(step)}" for step in steps)
        unused = () if name in used else (Ink("   no detector looks at it", "dim"),)
        yield line(f"  image{path} ─> ", Ink(name, "cyan"), *unused)
    yield ()


def _grid(chain: Chain) -> Iterator[Line]:
    yield line(Ink("Detectors", "bold"), " and the views that they look at")
    yield from grid(chain)
    yield ()


def _decision(chain: Chain) -> Iterator[Line]:
    combine, verdict = chain.file.combine, chain.file.verdict
    tables = cell_tables(chain)
    others = {name: value for name, value in combine.with_.items() if name not in tables}
    above = f" ─ {call(combine.calibrate)}" if combine.calibrate is not None else ""
    yield line(Ink("Verdict", "bold"))
    yield line(f"  cells ─ {called(combine.use, others)}{above} ─ prior {verdict.prior:g} ─> probability")
    yield line(
        f"  below {verdict.real_below:g} ",
        Ink("real", "green"),
        f", above {verdict.generated_above:g} ",
        Ink("generated", "red"),
        ", else ",
        Ink("inconclusive", "yellow"),
    )
    if combine.need > 1:
        yield line(f"  with fewer than {combine.need} cells ", Ink("inconclusive", "yellow"))
    yield ()


def _weights(chain: Chain) -> Iterator[Line]:
    steps = [step.stage for steps in chain.plan.views.values() for step in steps]
    stages = [*(detector.stage for detector in chain.plan.detectors), *steps]
    records = {record.name: record for stage in stages for record in getattr(stage, "weights", ())}
    if not records:
        return
    yield line(Ink("Weights", "bold"))
    texts = [(one.name, f"sha256 {one.sha256[:SHORT]}…", one.licence, one.description) for one in records.values()]
    yield from table([[[line(text)] for text in row] for row in texts])
    yield ()


def _fitted(chain: Chain) -> Iterator[Line]:
    fitted = chain.file.fitted
    if fitted is None:
        missing = [name for name in chain.plan.cell_names if name not in chain.file.calibrate]
        if missing:
            yield line(Ink("Not fitted", "yellow"), ": every verdict is inconclusive; see d2f chain fit")
        return
    parts = {"real": fitted.real, "generated": fitted.generated, "collections": fitted.collections}
    counts = "".join(f", {count} {word}" for word, count in parts.items() if count)
    yield line(Ink("Fitted", "bold"), f" on {fitted.images} images{counts}")
    yield line(f"  {fitted.date} with d2f {fitted.d2f}, protocol {fitted.protocol}, data {fitted.data}")
    if fitted.attacks:
        yield line(f"  with copies under {', '.join(fitted.attacks)}")
    yield ()

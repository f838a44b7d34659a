"""A chain drawn for the terminal, in lines of styled text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.text import Text

from d2f.api.rows import VERDICT_WORDS
from d2f.chain.build import direction
from d2f.chain.chain import Chain
from d2f.chain.model import StageUse


def call(use: StageUse) -> str:
    """Return a stage as a call: ``wiener(window=7)``."""
    return call_text(use.use, use.with_)


def call_text(name: str, options: Mapping[str, Any]) -> str:
    """Return a name and options as a call."""
    inner = ", ".join(f"{option}={value(given)}" for option, given in options.items())
    return f"{name}({inner})" if inner else name


def value(given: Any) -> str:
    """Return an option's value: numbers at 4 digits, of long lists and tables only the length.

    >>> value(0.333333), value([1, 2]), value(list(range(9))), value(True)
    ('0.3333', '[1, 2]', '[9]', 'true')
    """
    if isinstance(given, bool) or given is None:
        return {True: "true", False: "false", None: "null"}[given]
    if isinstance(given, float):
        return f"{given:.4g}"
    if isinstance(given, list):
        return f"[{len(given)}]" if len(given) > 4 else f"[{', '.join(value(one) for one in given)}]"
    return f"{{{len(given)}}}" if isinstance(given, dict) else str(given)


line = Text.assemble
"""Make a line of pieces: a text, or a text and its style."""


def table(rows: Sequence[Sequence[Sequence[Text]]], indent: int = 2, gap: int = 3) -> list[Text]:
    """Return a table whose cells are lists of lines, its columns as wide as their widest line."""
    columns = [max((one.cell_len for row in rows for one in row[index]), default=0) for index in range(len(rows[0]))]
    drawn = []
    for row in rows:
        for pieces in zip_longest(*row, fillvalue=line()):
            drawn.append(line(" " * indent))
            for piece, wide in zip(pieces, columns, strict=True):
                drawn[-1].append_text(piece).append(" " * (wide - piece.cell_len + gap))
    return drawn


MARKS = {1: "↑", -1: "↓", 0: "~"}
WORDS = {
    1: "the score rises for generated images",
    -1: "the score falls for generated images",
    0: "the score neither rises nor falls throughout",
}
STYLES = {1: "green", -1: "magenta", 0: "yellow"}


def detector_grid(chain: Chain) -> Iterator[Text]:
    """Yield the lines of the grid and what its marks mean."""
    views = list(dict.fromkeys(view for detector in chain.plan.detectors for view in detector.views))
    tables = member_tables(chain)
    rows = [[[line("")], *([line((view, "cyan"))] for view in views)]]
    for use in chain.file.detectors:
        members = (
            _member_lines(chain, f"{use.id}/{view}", tables) if view in use.views else [line("·")] for view in views
        )
        called = [line(f"  {call(use)}")] if use.use != use.id or use.with_ else []
        rows.append([[line((use.id, "bold")), *called], *members])
        rows.append([[line()] for _ in rows[0]])
    yield from table(rows[:-1])
    signs = {_direction(chain, name) for name in chain.plan.member_names if name in chain.file.calibrate}
    if signs:
        words = "   ".join(f"{mark} {WORDS[sign]}" for sign, mark in MARKS.items() if sign in signs)
        yield from [line(), line((f"  {words}", "dim"))]


def member_tables(chain: Chain) -> dict[str, dict[str, Any]]:
    """Return the combiner's options that hold a value for each of some members."""
    members = set(chain.plan.member_names)
    options = chain.file.combine.with_.items()
    return {name: given for name, given in options if isinstance(given, dict) and given and set(given) <= members}


def _member_lines(chain: Chain, name: str, tables: Mapping[str, Mapping[str, Any]]) -> list[Text]:
    use = chain.file.calibrate.get(name)
    if use is None:
        lines = [line(("not calibrated", "yellow"))]
    else:
        sign = _direction(chain, name)
        lines = [line(f"{use.use} ", (MARKS[sign], STYLES[sign]))]
        lines += [line(f"{option} {value(given)}") for option, given in use.with_.items()]
    # Of `weights`, a member has one weight.
    own = [(option.removesuffix("s"), values[name]) for option, values in tables.items() if name in values]
    return [*lines, *(line(f"{option} {value(given)}") for option, given in own)]


def _direction(chain: Chain, name: str) -> int:
    decision = chain.plan.decision
    return direction(decision.calibrators[name]) if decision is not None else 0


SHORT = 12
"""Characters of a digest that are shown."""


def draw(chain: Chain) -> list[Text]:
    """Return the drawing of a chain, as lines of styled text."""
    lines = [
        *_head_lines(chain),
        *_view_lines(chain),
        line(("Detectors", "bold"), " and the views that they look at"),
        *detector_grid(chain),
        line(),
        *_verdict_lines(chain),
        *_weight_lines(chain),
        *_fitted_lines(chain),
    ]
    return lines[:-1] if lines and not lines[-1] else lines


def _head_lines(chain: Chain) -> Iterator[Text]:
    yield line((chain.name, "bold"), *([f"  {chain.file.description}"] if chain.file.description else []))
    yield line((f"digest {chain.digest}", "dim"))
    if chain.images:
        yield line(f"images {', '.join(chain.images)}")
    yield line()


def _view_lines(chain: Chain) -> Iterator[Text]:
    yield line(("Views", "bold"))
    used = {view for detector in chain.plan.detectors for view in detector.views}
    for name, steps in {"plain": [], **chain.file.views}.items():
        path = "".join(f" ─ {call(step)}" for step in steps)
        unused = () if name in used else (("   no detector looks at it", "dim"),)
        yield line(f"  image{path} ─> ", (name, "cyan"), *unused)
    yield line()


def _verdict_lines(chain: Chain) -> Iterator[Text]:
    combine, verdict = chain.file.combine, chain.file.verdict
    tables = member_tables(chain)
    others = {name: value for name, value in combine.with_.items() if name not in tables}
    above = f" ─ {call(combine.calibrate)}" if combine.calibrate is not None else ""
    yield line(("Verdict", "bold"))
    yield line(f"  members ─ {call_text(combine.use, others)}{above} ─ prior {verdict.prior:g} ─> probability")
    yield line(
        f"  below {verdict.real_below:g} ",
        (VERDICT_WORDS["real"], "green"),
        f", above {verdict.generated_above:g} ",
        (VERDICT_WORDS["generated"], "red"),
        ", else ",
        ("inconclusive", "yellow"),
    )
    if verdict.stability:
        tried = " or ".join(call(step) for step in verdict.stability)
        near = "" if verdict.stable_within is None else f" within {verdict.stable_within:g} nats of a threshold"
        yield line(f"  turned by {tried}{near} ", ("inconclusive", "yellow"))
    if combine.need > 1:
        yield line(f"  with fewer than {combine.need} members ", ("inconclusive", "yellow"))
    yield line()


def _weight_lines(chain: Chain) -> Iterator[Text]:
    steps = [step.stage for steps in chain.plan.views.values() for step in steps]
    stages = [*(detector.stage for detector in chain.plan.detectors), *steps]
    records = {record.name: record for stage in stages for record in getattr(stage, "weights", ())}
    if not records:
        return
    yield line(("Weights", "bold"))
    texts = [(one.name, f"sha256 {one.sha256[:SHORT]}…", one.licence, one.description) for one in records.values()]
    yield from table([[[line(text)] for text in row] for row in texts])
    yield line()


def _fitted_lines(chain: Chain) -> Iterator[Text]:
    fitted = chain.file.fitted
    if fitted is None:
        missing = [name for name in chain.plan.member_names if name not in chain.file.calibrate]
        if missing:
            yield line(("Not fitted", "yellow"), ": every verdict is inconclusive; see d2f chain fit")
        return
    parts = {"real": fitted.real, "generated": fitted.generated, "collections": fitted.collections}
    counts = "".join(f", {count} {word}" for word, count in parts.items() if count)
    yield line(("Fitted", "bold"), f" on {fitted.images} images{counts}")
    yield line(f"  {fitted.date} with d2f {fitted.d2f}, protocol {fitted.protocol}, data {fitted.data}")
    if fitted.attacks:
        yield line(f"  with copies under {', '.join(fitted.attacks)}")
    later = (("Thresholds", "re-fitted", fitted.thresholds), ("Ratio", "shifted", fitted.shift))
    for what, how, again in later:
        if again is not None:
            yield line((what, "bold"), f" {how} on {again.images} other images")
            yield line(f"  {again.date}, protocol {again.protocol}, data {again.data}")
    yield line()

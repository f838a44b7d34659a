"""Lists of preprocessors in one word: the SPEC of ``d2f attack`` and of every ``--attack``.

``wiener:window=7``, ``wiener:7+noise:sigma=2``, ``jpeg:60,subsampling=4:4:4``, ``resize:size=640x480``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from d2f.api.errors import D2FError, Exit, Place, Problem
from d2f.engine.plan import Step, make_step
from d2f.plugins.build import OptionFinding, option_findings, option_problem, scalar_value
from d2f.plugins.catalog import Catalog

KEY = re.compile(r"([A-Za-z_][\w-]*)\s*=")
OPENING, CLOSING, QUOTES = "[{", "]}", "\"'"
BEFORE_QUOTE = "=:,+[{ "
EXPONENT = re.compile(r"[0-9.][eE].[0-9]$")
"""The end of `1e+5`, whose sign separates nothing."""

ANOTHER_STEP = re.compile(r"[a-z][a-z0-9-]*:")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a SPEC: `text`, which begins at character `start`."""

    start: int
    text: str

    def cut(self, first: int, last: int | None = None) -> Piece:
        """Return a part of this piece without the blanks around it."""
        part = self.text[first:last]
        bare = part.strip()
        return Piece(self.start + first + part.index(bare), bare)


@dataclass(frozen=True, slots=True)
class OptionText:
    """``key=value``; `key` is None where only the value is written."""

    key: Piece | None
    value: Piece


@dataclass(frozen=True, slots=True)
class StepText:
    """``name:options``."""

    name: Piece
    options: tuple[OptionText, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecText:
    """A SPEC and what to call it in errors."""

    text: str
    origin: str = "SPEC"

    def place(self, piece: Piece) -> Place:
        """Return where a piece stands."""
        line = " ".join(self.text.splitlines())
        return Place(self.origin, 1, piece.start + 1, source=line, width=max(1, len(piece.text)))

    def error(self, piece: Piece, message: str, label: str = "", *notes: str) -> D2FError:
        """Return an error of the SPEC's grammar, D2F001."""
        return D2FError(Problem("D2F001", message, self.place(piece), label, notes))

    def steps(self) -> list[Piece]:
        """Return the texts of the steps, in order."""
        return self._split(Piece(0, self.text), "+")

    def step(self, piece: Piece) -> StepText:
        """Take one step apart."""
        name, colon, _ = piece.text.partition(":")
        if not name.strip():
            raise self.error(piece, "a step is missing", "", "steps are joined by +: wiener:window=7+noise:sigma=2")
        found = StepText(piece.cut(0, len(name)))
        if not colon:
            return found
        options = self._split(piece.cut(len(name) + 1), ",")
        return StepText(found.name, tuple(self._option(one, index) for index, one in enumerate(options)))

    def _option(self, piece: Piece, index: int) -> OptionText:
        keyed = KEY.match(piece.text)
        if keyed:
            return OptionText(piece.cut(0, keyed.end(1)), piece.cut(keyed.end()))
        if not piece.text:
            raise self.error(
                piece, "an option is missing", "", "options are joined by commas: jpeg:quality=60,subsampling=4:4:4"
            )
        if index == 0:
            return OptionText(None, piece)
        note = "options read key=value; only the first may leave its key out"
        if ANOTHER_STEP.match(piece.text):
            note = f"steps are joined by +, not by a comma: …+{piece.text}"
        raise self.error(piece, f"option '{piece.text}' has no key", "", note)

    def _split(self, piece: Piece, separator: str) -> list[Piece]:
        try:
            return [piece.cut(first, last) for first, last in parts(piece.text, separator)]
        except ValueError as error:
            raise self.error(piece, str(error)) from error


def parts(text: str, separator: str) -> list[tuple[int, int]]:
    """Return where the parts of a text begin and end that a separator outside brackets and quotes parts.

    >>> text = "a=[1,2],b='x,y'"
    >>> [text[first:last] for first, last in parts(text, ",")]
    ['a=[1,2]', "b='x,y'"]
    """
    found, start, index = [], 0, 0
    depth = 0
    while index < len(text):
        character = text[index]
        if character in QUOTES and (index == 0 or text[index - 1] in BEFORE_QUOTE):
            index = _end_of_quote(text, index)
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == separator and depth == 0 and not EXPONENT.search(text[: index + 2]):
            found.append((start, index))
            start = index + 1
        if depth < 0:
            raise ValueError("a bracket is closed that was not opened")
        index += 1
    if depth > 0:
        raise ValueError("a bracket is not closed")
    return [*found, (start, len(text))]


def _end_of_quote(text: str, start: int) -> int:
    """Return where the quote that opens at `start` closes."""
    pattern = r'"(?:[^"\\]|\\.)*"' if text[start] == '"' else r"'(?:[^']|'')*'"
    closed = re.compile(pattern, re.DOTALL).match(text, start)
    if closed is None:
        raise ValueError("a quote is not closed")
    return closed.end() - 1


PAIR = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")
PLAIN = re.compile(r"[^\s\"'\[\]{},+=#&*!|>%@`][^\s\"'\[\]{},+]*")


def read_value(text: str) -> Any:
    """Return the value that a text stands for.

    >>> [read_value(text) for text in ("7", "1e-4", "4:2:0", "5x7", "[1, null]", "'7'")]
    [7, 0.0001, '4:2:0', [5, 7], [1, None], '7']
    """
    pair = PAIR.fullmatch(text)
    if pair:
        return [int(pair[1]), int(pair[2])]
    if text.startswith("["):
        if not text.endswith("]"):
            raise ValueError("text follows the bracket")
        inner = text[1:-1]
        return [read_value(inner[first:last].strip()) for first, last in parts(inner, ",")] if inner.strip() else []
    if text.startswith(("{", '"')):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError("what stands in double quotes or braces is read as JSON") from error
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise ValueError("text follows the quote")
        return text[1:-1].replace("''", "'")
    return scalar_value(text)


def write_value(value: Any) -> str:
    """Return the text that `read_value` reads as `value`.

    >>> [write_value(value) for value in (7, 2.0, [5, 7], [0.5], "4:2:0", "7", None)]
    ['7', '2', '5x7', '[0.5]', '4:2:0', '"7"', 'null']
    """
    if isinstance(value, list | tuple):
        whole = [type(one) is int and 0 <= one < 10**9 for one in value]
        if whole == [True, True]:
            return f"{value[0]}x{value[1]}"
        return f"[{','.join(write_value(one) for one in value)}]"
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and not PAIR.fullmatch(value) and scalar_value(value) == value
        return value if plain else json.dumps(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value).removesuffix(".0")
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    return json.dumps(value, separators=(",", ":"))


KIND = "preprocessor"


def parse_spec(text: str, catalog: Catalog, origin: str = "SPEC") -> tuple[Step, ...]:
    """Build the steps that a SPEC names."""
    spec = SpecText(text, origin)
    steps: list[Step] = []
    problems: list[Problem] = []
    exits: set[Exit] = set()
    for piece in spec.steps():
        try:
            step = spec.step(piece)
            stage = catalog.find(KIND, step.name.text, spec.place(step.name))
            options, keys = _given_options(spec, step, stage)
            if wrong := option_findings(stage.Options, options):
                raise D2FError([_located_finding(spec, step, stage, keys, one) for one in wrong])
            steps.append(make_step(catalog, step.name.text, options))
        except D2FError as error:
            problems += error.problems
            exits.add(error.exit)
    if problems:
        raise D2FError(problems, Exit.PLUGIN if exits == {Exit.PLUGIN} else Exit.USAGE)
    return tuple(steps)


def format_spec(steps: Iterable[Step]) -> str:
    """Return the SPEC of steps: their first options, and the others where they differ from the default.

    >>> from d2f.plugins.catalog import Catalog
    >>> format_spec(parse_spec("wiener:7 + jpeg:subsampling='4:4:4' + noise:2.0", Catalog.discover()))
    'wiener:window=7+jpeg:quality=90,subsampling=4:4:4+noise:sigma=2'
    """
    return "+".join(_step_text(step) for step in steps)


def _step_text(step: Step) -> str:
    facts = json.loads(step.key)
    model = type(step.stage).Options
    options = model.model_validate(facts["with"]).model_dump(mode="json", by_alias=True)
    shown = []
    for index, (name, field) in enumerate(model.model_fields.items()):
        key = field.alias or name
        value = options[key]
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if value != default or (index == 0 and value is not None):
            shown.append(f"{key}={write_value(value)}")
    return ":".join([facts["use"], ",".join(shown)] if shown else [facts["use"]])


def _given_options(spec: SpecText, step: StepText, stage: Any) -> tuple[dict[str, Any], Mapping[str, OptionText]]:
    """Return the options as plain data, and by name as they are written."""
    values: dict[str, Any] = {}
    written: dict[str, OptionText] = {}
    for option in step.options:
        key = option.key.text if option.key else _first_option(spec, option.value, step, stage)
        if key in values:
            raise spec.error(option.key or option.value, f"option '{key}' is given twice", "", "keep one")
        try:
            values[key], written[key] = read_value(option.value.text), option
        except ValueError as error:
            message = f"'{option.value.text}' is not a value"
            raise spec.error(option.value, message, "", str(error)) from error
    return values, written


def _first_option(spec: SpecText, piece: Piece, step: StepText, stage: Any) -> str:
    names: list[str] = [field.alias or name for name, field in stage.Options.model_fields.items()]
    if piece.text in names:
        raise spec.error(piece, f"option '{piece.text}' has no value", "", f"write {piece.text}=VALUE")
    if not names:
        raise D2FError(Problem("D2F114", f"{KIND} '{step.name.text}': it takes no options", spec.place(piece)))
    return names[0]


def _located_finding(
    spec: SpecText, step: StepText, stage: Any, written: Mapping[str, OptionText], finding: OptionFinding
) -> Problem:
    """Return a finding as a problem at the key or the value that it is about, else at the step's name."""
    option = written.get(str(finding.path[0])) if finding.path else None
    piece = step.name
    if option is not None:
        piece = option.key if option.key and finding.sort == "unknown" else option.value
    return replace(option_problem(KIND, stage.name, finding), place=spec.place(piece))

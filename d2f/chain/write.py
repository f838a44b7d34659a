"""A fitted chain file that a person can read: what a fit found is put in, the author's words stay.

Only the lines of the keys that are written anew pass through ruamel.yaml, which keeps their comments; every other
line of the file is left as it is, to the character.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import date
from textwrap import fill
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.chain.yaml import ChainSource, Text, parse, text_of
from d2f.plugins.build import scalar_value

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

ORDER = ("calibrate", "combine", "verdict", "fitted")
"""The order in which keys that were not there are added."""

WIDTH = 100
"""A mapping or list that fits into so many columns is written in one line."""

PLAIN = re.compile(r"[A-Za-z0-9](?:[\w ./=:,+-]*[\w=])?", re.ASCII)
DATE = re.compile(r"[12]\d{3}-(0\d|1[012])-([01]\d|2[0-8])")
NUMBERS = re.compile(r"(?P<head> *(- )?[\w/-]+: \[)(?P<list>[-+.\d]\S*(, [-+.\d]\S*)+\])")
DIGITS = 6
"""Significant digits of a floating-point number."""


def fitted_text(original_text: str, updates: Mapping[str, Any]) -> str:
    """Return a chain file's text with some of its top-level keys written anew.

    `updates` holds the plain data of each key, whole: what it does not name is left out of the new text; floating-point
    numbers are rounded to 6 significant digits. The author's comments, order and line ends stay. Raises D2FError: the
    text is no chain file.

    >>> print(fitted_text("d2f: 1 # mine\\nname: a\\n", {"verdict": {"prior": 1 / 3}}), end="")
    d2f: 1 # mine
    name: a
    verdict: {prior: 0.333333}
    """
    windows = "\r\n" in original_text
    text = text_of("chain", original_text).text
    wanted = _source(text).data | {key: rounded_data(value) for key, value in updates.items()}
    for key in sorted(updates, key=lambda key: ORDER.index(key) if key in ORDER else len(ORDER)):
        text = _with_key(text, key, wanted[key])
    if _source(text).data != wanted:
        raise RuntimeError("the fitted chain file does not say what was fitted")
    return text.replace("\n", "\r\n") if windows else text


def rounded_data(value: Any) -> Any:
    """Return plain data with floating-point numbers at 6 significant digits and dates as text."""
    if isinstance(value, Mapping):
        return {str(key): rounded_data(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded_data(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{float(value):.{DIGITS}g}")
    return value.isoformat() if isinstance(value, date) else value


def _with_key(text: str, key: str, value: Any) -> str:
    source = _source(text)
    if not source.block:
        # One mapping in braces has no lines of its own for each key.
        return _round_trip(text, key, value)
    if key not in source.data:
        text = re.sub(r"\n\.\.\.\s*\Z", "", text)
        return text + ("" if text.endswith("\n") else "\n") + _round_trip("", key, value)
    start, end = segment(source, key)
    return text[:start] + _round_trip(text[start:end], key, value) + text[end:]


def _source(text: str) -> ChainSource:
    source, problems = parse(Text("chain", text))
    if source is None:
        raise D2FError(problems)
    return source


def segment(source: ChainSource, key: str) -> tuple[int, int]:
    """Return where the lines of a top-level key begin and end; comments at the margin belong to what follows."""
    text = source.text.text
    starts = sorted(source.keys[(name,)].start for name in source.data)
    start = source.keys[(key,)].start
    after = [other for other in starts if other > start]
    lines = text[start : after[0] if after else len(text)].splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].startswith(("#", "...", "---"))):
        lines.pop()
    return start, start + sum(map(len, lines))


def _round_trip(text: str, key: str, value: Any) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    # ruamel would break long texts, too; lists of numbers are broken below.
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(text) if text.strip() else CommentedMap()
    _merge(document, key, value, indent=0)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return "\n".join(_wrapped(line) for line in stream.getvalue().split("\n"))


def _wrapped(line: str) -> str:
    """Return a line, one that is a long list of numbers broken into several."""
    numbers = NUMBERS.fullmatch(line)
    if len(line) <= WIDTH or numbers is None:
        return line
    head = numbers["head"]
    return fill(numbers["list"], WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _merge(mapping: CommentedMap, key: str, value: Any, indent: int) -> None:
    """Put a value under a key; where both are mappings, keep the comments of what stays."""
    from ruamel.yaml.comments import CommentedMap

    old = mapping.get(key)
    if not (value and isinstance(old, CommentedMap) and isinstance(value, Mapping)):
        mapping[key] = _ruamel_node(value, indent + len(key) + 2)
        return
    for name in [name for name in old if name not in value]:
        del old[name]
    for name, inner in value.items():
        _merge(old, name, inner, indent + 2)
    if old.fa.flow_style() and not _fits_line(value, indent + len(key) + 2):
        old.fa.set_block_style()


def _ruamel_node(value: Any, column: int) -> Any:
    """Return a value as ruamel's own, in one line where it fits."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    node: CommentedMap | CommentedSeq
    if isinstance(value, Mapping):
        node = CommentedMap({key: _ruamel_node(inner, column + len(key) + 2) for key, inner in value.items()})
    elif isinstance(value, list):
        node = CommentedSeq(_ruamel_node(inner, column + 2) for inner in value)
    else:
        return _scalar(value) if isinstance(value, str) else value
    if _fits_line(value, column) or (
        isinstance(value, list) and not any(isinstance(one, Mapping | list) for one in value)
    ):
        node.fa.set_flow_style()
    return node


def _scalar(value: str) -> Any:
    """Return a text as what ruamel writes without quotes where it may stand without, in quotes otherwise."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if DATE.fullmatch(value):
        return date.fromisoformat(value)
    return value if PLAIN.fullmatch(value) and scalar_value(value) == value else DoubleQuotedScalarString(value)


def _fits_line(value: Any, column: int) -> bool:
    return column + _length(value) <= WIDTH


def _length(value: Any) -> int:
    if isinstance(value, Mapping):
        return 2 + sum(len(str(key)) + 4 + _length(inner) for key, inner in value.items())
    if isinstance(value, list):
        return 2 + sum(2 + _length(inner) for inner in value)
    return len(str(value))

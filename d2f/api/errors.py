"""Errors: every code, places in texts, problems, exit codes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

LIMIT = 100
"""A line of more characters is clipped."""

BEFORE = 40
"""How many characters stay in front of the caret of a clipped line."""


def excerpt(source: str, column: int, width: int) -> tuple[str, str]:
    """Return a line and the carets below its token of `width` characters, which begins at `column`, from 1.

    >>> print("\\n".join(excerpt("use: nosie", 6, 5)))
    use: nosie
         ^^^^^
    """
    start = column - 1
    # A tab would shift the caret, an escape would speak to the terminal.
    source = "".join(sign if sign.isprintable() else "\ufffd" for sign in source.replace("\t", " "))
    if len(source) > LIMIT:
        first = max(0, min(start - BEFORE, len(source) - LIMIT))
        head = "…" if first else ""
        tail = "…" if first + LIMIT < len(source) else ""
        source = f"{head}{source[first : first + LIMIT]}{tail}"
        start = start - first + len(head)
        width = min(width, len(source) - len(tail) - start)
    token = source[start : start + width]
    return source, " " * _cells(source[:start]) + "^" * max(1, _cells(token))


def _cells(text: str) -> int:
    """Return how many columns of a terminal `text` fills: wide letters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    PLUGIN = 3
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


CODES: dict[str, str] = {
    # 0xx the command line
    "D2F000": "a bug in d2f",
    "D2F001": "an argument is not understood",
    "D2F002": "a file or folder was not found",
    "D2F003": "no image was found",
    "D2F004": "an output cannot be written",
    "D2F005": "the output to resume belongs to another chain",
    "D2F006": "the output to resume cannot be read",
    "D2F007": "the output's format changes the pixels",
    # 1xx the chain file
    "D2F100": "not readable as YAML",
    "D2F101": "a key is repeated",
    "D2F102": "a feature of YAML that chain files do without: anchors, aliases, tags, merge keys, more documents",
    "D2F103": "unknown format version",
    "D2F104": "unknown key",
    "D2F105": "a key is missing",
    "D2F106": "a value has the wrong type or range",
    "D2F107": "not a mapping at the top",
    "D2F108": "the chain file cannot be read",
    "D2F110": "unknown detector",
    "D2F111": "unknown preprocessor",
    "D2F112": "unknown calibrator",
    "D2F113": "unknown combiner",
    "D2F114": "an option of a stage is wrong",
    "D2F115": "unknown precondition",
    "D2F116": "unknown evidence reader",
    "D2F120": "unknown view",
    "D2F121": "a detector id is repeated",
    "D2F122": "unknown member",
    "D2F123": "a detector that reads the file's bytes runs on plain only",
    "D2F124": "thresholds cross, or leave no verdict",
    "D2F125": "`need` asks for more members than the chain has",
    "D2F126": "a view is defined and never used",
    "D2F127": "the chain is not fitted",
    "D2F130": "unknown chain",
    # 2xx plugins
    "D2F201": "a plugin failed to load",
    "D2F202": "a plugin implements a hook that does not exist, or not as it is called",
    "D2F203": "a stage lacks an attribute",
    "D2F204": "two plugins offer the same name",
    "D2F205": "a plugin was written for another version of the plugin API",
    "D2F206": "a stage's requirement is not installed",
    "D2F207": "a hook raised, or returned what it should not",
    "D2F208": "unknown plugin",
    "D2F209": "a stage could not be constructed or loaded",
    "D2F210": "a stage fails checks of the conformance kit",
    "D2F211": "a new plugin cannot have this name",
    # 3xx images
    "D2F301": "the file cannot be read",
    "D2F302": "the file is empty",
    "D2F303": "not an image that d2f can decode",
    "D2F304": "the image is damaged or truncated",
    "D2F305": "the file holds more bytes than allowed",
    "D2F306": "the image holds more pixels than allowed",
    "D2F307": "what a program gave is no image",
    # 4xx stages at work
    "D2F401": "a detector raised",
    "D2F402": "a detector returned the wrong number of scores",
    "D2F403": "a detector returned a score that is not finite",
    "D2F404": "a preprocessor raised",
    "D2F405": "a preprocessor returned something that is not a view",
    "D2F406": "a calibrator returned something that is not a probability",
    "D2F407": "a combiner raised, or returned something that is not a finite ratio",
    "D2F408": "a precondition or an evidence reader raised, or returned what it should not",
    "D2F410": "a stage, or a worker process, took longer than its time limit",
    "D2F411": "a worker process died",
    "D2F412": "a worker process used more memory than its limit",
    "D2F413": "a stage is switched off: it ended three worker processes",
    "D2F414": "a worker process raised",
    # 5xx weights
    "D2F501": "unknown weights",
    "D2F502": "the weights are not on this machine",
    "D2F503": "the weights' digest is not the pinned one",
    "D2F504": "the weights do not fit the model",
    "D2F505": "the weights file cannot be read",
    "D2F506": "the chain was fitted with other weights",
    "D2F507": "weights could not be fetched",
    # 6xx data, fitting, training
    "D2F601": "no labelled image was found",
    "D2F602": "a label is missing or unknown",
    "D2F603": "too few images or collections to fit",
    "D2F604": "images that the weights were trained on",
    "D2F605": "a manifest cannot be read",
    "D2F606": "a recipe is wrong",
    "D2F607": "unknown trainable",
    "D2F608": "a report cannot be read",
    "D2F620": "an image cannot be trained on",
    "D2F621": "a label is missing from a part of the data",
    "D2F622": "the loss is not finite",
    "D2F623": "a run already exists there, or is not the one to continue",
    "D2F624": "a training step does not fit the memory budget",
    # 7xx the server
    "D2F701": "a server does not answer this host or origin",
    "D2F702": "a server wants a token",
    "D2F703": "a request is not understood",
    "D2F704": "a request is larger than the server allows",
    "D2F705": "too many requests at once",
    "D2F706": "a server has no room for more, or is about to end",
    "D2F707": "a request took longer than allowed",
    "D2F708": "a server cannot listen there",
    "D2F709": "unknown job",
    "D2F710": "a server cannot be reached, or its answer is not understood",
}
"""Every code and what it means; docs/reference/errors.md holds one entry for each."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a text a problem is.

    Parameters
    ----------
    file : str
        As the user wrote it.
    line, column : int
        From 1; 0 where there is none.
    path : str
        Such as ``detectors[2].use``.
    source : str
        The line itself, without its end.
    width : int
        How many characters the caret underlines.
    """

    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    source: str = ""
    width: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    code : str
        A key of `CODES`.
    message : str
        What is wrong, naming the value.
    place : Place, optional
        Where.
    label : str
        Text beside the caret.
    notes : tuple of str
        Further lines; the last says the next step.
    severity : {'error', 'warning'}
        A warning is printed and stops nothing.
    """

    code: str
    message: str
    place: Place | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    severity: str = "error"

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"{self.code} is not in d2f.CODES")

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.place is not None:
            lines += _located(self.place, self.label)
        lines += [f"   = {note}" for note in self.notes]
        return "\n".join(lines)


def _located(place: Place, label: str) -> list[str]:
    where = f":{place.line}:{place.column}" if place.line else ""
    at = f"  at {place.path}" if place.path else ""
    lines = [f"  --> {place.file}{where}{at}"]
    if place.line and place.source:
        number = str(place.line)
        source, carets = excerpt(place.source, place.column, place.width)
        lines.append(f"{number} | {source}".rstrip())
        lines.append(f"{' ' * len(number)} | {carets} {label}".rstrip())
    return lines


class D2FError(Exception):
    """One or more problems that end a command.

    Parameters
    ----------
    problems : iterable of Problem
        At least one.
    exit : Exit
        The exit code that the command line ends with.
    """

    def __init__(self, problems: Iterable[Problem] | Problem, exit: Exit = Exit.USAGE) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.exit = exit
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, code: str, message: str, *notes: str, exit: Exit = Exit.USAGE) -> D2FError:
        """Make an error of one problem that has no place in a text."""
        return cls(Problem(code, message, notes=notes), exit)


class WeightsMissing(D2FError):
    """Weights that are not on this machine: the stage abstains and names the command that fetches them."""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that is most like `word`, None where none is.

    >>> nearest("windw", ["window", "noise"])
    'window'
    """
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches

    found = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return the note ``did you mean '…'?``, or nothing, as a tuple to put among a problem's notes."""
    near = nearest(word, words)
    return (f"did you mean '{near}'?",) if near is not None else ()

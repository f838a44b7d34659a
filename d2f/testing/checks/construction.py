"""Construction is cheap, weights load in `load`, and neither unpickles or calls anybody."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError, WeightsMissing
from d2f.testing.audit import Seen, watched
from d2f.testing.check import Failed, Skipped, check, fail_if
from d2f.testing.subject import Subject

SECONDS = 0.5
"""Processor time that a construction may take; it is asked for while a chain file is being checked."""


@check("construction is cheap", gate=True)
def cheap_construction(subject: Subject) -> str:
    """No file is opened and nothing long is computed in `__init__`; imports do not count."""
    options = subject.fitted
    try:
        with watched() as seen:
            subject.construct()
        begun = time.thread_time()
        subject.construct()
        seconds = time.thread_time() - begun
    except Exception as error:
        raise subject.raised("constructing it", error, "take whatever its options model accepts") from error
    _quiet(seen)
    given = _given_paths(options.model_dump())
    fail_if([f"it opened {path}" for path in seen.opened if path not in given], "read files in load(), not in __init__")
    if seconds > SECONDS:
        raise Failed(f"it took {seconds:.2f} s of processor time", "leave to load() what takes long")
    return f"{1000 * seconds:.1f} ms"


@check("load() reads its weights", gate=True)
def loads(subject: Subject) -> str:
    """`load` succeeds; where the weights are not on this machine, all that needs them is left out."""
    made = subject.construct()
    load = getattr(made, "load", None)
    if load is None:
        return "it has nothing to load"
    begun = time.perf_counter()
    try:
        with watched() as seen:
            load()
    except WeightsMissing as error:
        problem = error.problems[0]
        raise Skipped("; ".join((problem.message, *problem.notes[-1:]))) from error
    except D2FError as error:
        raise Failed([line for one in error.problems for line in (one.message, *one.notes)], _mended(error)) from error
    except Exception as error:
        raise subject.raised("loading", error, "let load() work with the default options") from error
    _quiet(seen)
    return f"{1000 * (time.perf_counter() - begun):.0f} ms"


def _mended(error: D2FError) -> str:
    if error.problems[0].code == "D2F503":
        return "pin the sha256 of the file that is there, or put the file back whose sha256 is pinned"
    return "let load() work with the default options"


def _quiet(seen: Seen) -> None:
    fail_if(
        [f"it unpickled {name}" for name in dict.fromkeys(seen.unpickled)],
        "a pickle runs whatever it likes: keep arrays as .safetensors or .npz, and read them with d2f.weights",
    )
    fail_if(
        [f"it called {host}" for host in dict.fromkeys(seen.called)],
        "fetch nothing by yourself: name sources in a d2f.Weights record, and use d2f.weights.read_weights",
    )


def _given_paths(options: Mapping[str, Any]) -> set[str]:
    """Return the texts among options: a file that the user names may be looked at, for its digest."""
    return {text for value in options.values() for text in _texts(value)}


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str | Path):
        return (str(value), str(Path(str(value)).expanduser()))
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list | tuple) else ()

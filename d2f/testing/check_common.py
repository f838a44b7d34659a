"""What is held of stages of every kind: declared, built, quiet, bounded in cost."""

from __future__ import annotations

import contextlib
import gc
import io
import math
import os
import re
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError, WeightsMissing
from d2f.api.inputs import FileBytes, ImageFile, Pixels, Tiles
from d2f.plugins.entries import found
from d2f.plugins.registry import stage_faults, unmet_requirements
from d2f.testing.batches import hard
from d2f.testing.check_answers import ASKED
from d2f.testing.pictures import camera_picture, image_file
from d2f.testing.report import Seen, watched
from d2f.testing.subject import Failed, Skipped, Subject, check, fail_if
from d2f.weights.sources import PINS, weights_folder

LONGEST_SUMMARY = 100


@check("it has what its kind needs", gate=True)
def complete(subject: Subject) -> str:
    """Name, summary, methods, an options model; `requires` as requirements."""
    fail_if(
        stage_faults(subject.kind, subject.stage), "add what is named here; docs/reference/plugins.md has the contract"
    )
    return ""


@check("its summary is one short sentence")
def summary(subject: Subject) -> str:
    """It stands in `d2f plugin list`."""
    text = subject.stage.summary
    if not text.endswith("."):
        raise Failed(f"'{text}'", "end it with a full stop: it stands as a sentence in `d2f plugin list`")
    if len(text) > LONGEST_SUMMARY:
        raise Failed(f"{len(text)} characters", f"say it in {LONGEST_SUMMARY}, the rest belongs in the docstring")
    return ""


@check("its options are documented")
def documented_options(subject: Subject) -> str:
    """Names as chain files write them, and words for what each takes."""
    from d2f.plugins.describe import options_of

    found = []
    options = options_of(subject.stage)
    for option in options:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", option.name):
            found.append(f"{option.name}: not in lower case with underscores")
        if "something else" in option.takes:
            found.append(f"{option.name}: its type has no words; `d2f plugin list` shows '{option.takes}'")
    fail_if(found, "use types that a chain file can hold: numbers, text, true or false, Literal, lists, mappings")
    return ", ".join(option.name for option in options) or "it has none"


@check("the given options are valid", gate=True)
def valid_options(subject: Subject) -> str:
    """Those that the check was called with, or the defaults where none were given."""
    from d2f.plugins.build import option_findings, option_problem

    model = subject.stage.Options
    wrong = option_findings(model, dict(subject.options))
    if not wrong:
        # pydantic takes a default as it stands, so it is held to its field here.
        wrong = option_findings(model, model.model_validate(dict(subject.options)).model_dump(by_alias=True))
    if wrong and not subject.options and all(one.sort == "missing" for one in wrong):
        names = ", ".join(one.name for one in wrong)
        raise Skipped(f"no default for {names}; give options: check_stage({subject.stage.__name__}, {{…}})")
    fail_if(
        [option_problem(subject.kind, subject.name, one).message for one in wrong],
        "a default has to satisfy its own field; options have to satisfy the model",
    )
    return ""


@check("options survive a chain file")
def plain_options(subject: Subject) -> str:
    """Written as plain data and read again, they are the same: `d2f chain fit` and every digest rely on it."""
    options = subject.fitted
    plain = options.model_dump(mode="json", by_alias=True)
    fail_if(_not_plain(plain), "use types that a chain file can hold")
    again = type(options).model_validate(plain)
    if again.model_dump(mode="json", by_alias=True) != plain:
        raise Failed(
            f"{plain} reads back as {again.model_dump(mode='json', by_alias=True)}",
            "let validators return what they were given where it is already in its final form",
        )
    return ""


@check("what it requires is installed", gate=True)
def requirements(subject: Subject) -> str:
    """A stage that cannot be used here cannot be checked here."""
    lacking = unmet_requirements(getattr(subject.stage, "requires", ()) or ())
    if lacking:
        raise Skipped("; ".join(f"'{text}' {fact}" for text, fact in lacking))
    return ", ".join(getattr(subject.stage, "requires", ()) or ()) or "it requires nothing"


def _not_plain(value: Any, path: str = "options") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_plain(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which no chain file may hold"
    elif value is not None and not isinstance(value, str | int | float | bool):
        yield f"{path} is a {type(value).__name__}"


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
    # Files and folders that the user names may be looked at, for digests.
    given = {*_texts(options.model_dump()), str(weights_folder() / PINS)}
    strange = [path for path in seen.opened if not given & {path, os.path.dirname(path)}]
    fail_if([f"it opened {path}" for path in strange], "read files in load(), not in __init__")
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
        next_step = "let load() work with the default options"
        if error.problems[0].code == "D2F503":
            next_step = "pin the sha256 of the file that is there, or put the file back whose sha256 is pinned"
        raise Failed([line for one in error.problems for line in (one.message, *one.notes)], next_step) from error
    except Exception as error:
        raise subject.raised("loading", error, "let load() work with the default options") from error
    _quiet(seen)
    return f"{1000 * (time.perf_counter() - begun):.0f} ms"


def _quiet(seen: Seen) -> None:
    fail_if(
        [f"it unpickled {name}" for name in dict.fromkeys(seen.unpickled)],
        "a pickle runs whatever it likes: keep arrays as .safetensors or .npz, and read them with d2f.weights",
    )
    fail_if(
        [f"it called {host}" for host in dict.fromkeys(seen.called)],
        "fetch nothing by yourself: name sources in a d2f.Weights record, and use d2f.weights.read_weights",
    )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str | Path):
        return (str(value), str(Path(str(value)).expanduser()))
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list | tuple) else ()


HEAVY = (
    "numpy", "scipy", "mlx", "torch", "tensorflow", "jax", "onnxruntime", "sklearn", "skimage", "cv2", "pandas",
    "pyarrow", "matplotlib", "transformers", "PIL",
)  # fmt: skip
"""Modules that no listing of plugins should load."""

PROGRAM = """
import sys
from d2f.plugins.catalog import Catalog
Catalog.discover()
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
"""


@check("listing it loads no array library")
def light(subject: Subject) -> str:
    """In a process of its own: every command that needs plugins imports all of them."""
    module = str(subject.stage.__module__).partition(".")[0]
    origin = next((origin for origin, _ in found() if origin.module == module), None)
    if origin is None:
        raise Skipped("it is not installed as a plugin: no entry point names its module")
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    loaded = _loaded_by_listing("" if origin.built_in else origin.entry_point, path)
    if loaded:
        raise Failed(
            f"importing {origin.value} and calling its hooks loads {', '.join(loaded)}",
            "import them inside the methods that use them, and for annotations under `if TYPE_CHECKING:`",
        )
    return ""


@cache
def _loaded_by_listing(allowed: str, path: str) -> tuple[str, ...]:
    """Return which of `HEAVY` a listing of the built-in plugins and this one loads."""
    environment = {**os.environ, "PYTHONPATH": path, "D2F_PLUGINS": allowed}
    command = [sys.executable, "-c", PROGRAM, ",".join(HEAVY)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Skipped(f"a fresh Python could not list it: {done.stderr.strip().splitlines()[-1:] or 'no word'}")
    return tuple(done.stdout.split())


@check("it prints nothing and warns of nothing")
def quiet(subject: Subject) -> str:
    """On ordinary, tiny and flat pictures: nothing on stdout or stderr, no warning."""
    asked, printed = ASKED[subject.kind], io.StringIO()
    aside = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with warnings.catch_warnings(record=True) as caught, aside[0], aside[1]:
        warnings.simplefilter("always")
        given = {**asked.given(subject), **(hard(subject) if subject.kind == "detector" else {})}
        for name, element in given.items():
            # What it raises is other checks' business.
            with contextlib.suppress(Failed):
                asked.answers(subject, subject.instance, {name: element})
    said = [f"it warned: {one.category.__name__}: {one.message}" for one in caught]
    said += [f"it printed {line!r:.70}" for line in printed.getvalue().splitlines()[:1]]
    fail_if(
        dict.fromkeys(said),
        "abstain before dividing by zero; put what a person should know into d2f.Score(…, evidence='…')",
    )
    return ""


MOST_SECONDS = 60.0
"""An image of 512 x 512 that takes longer than this on one machine is out of reach of any batch."""

MOST_BYTES = 4 * 2**30
"""Memory that one image of 512 x 512 may take."""

SIDE = 512
MANY = 4
"""Pictures over which memory must not grow."""


@check("an image's cost is bounded")
def cost(subject: Subject) -> str:
    """Time and memory of one picture; the bounds are generous, the figures are for its author."""
    call = _call(subject)
    picture = _picture(SIDE, SIDE, 21)
    call(picture)
    begun = time.perf_counter()
    call(picture)
    seconds = time.perf_counter() - begun
    size, _ = allocated(lambda: call(picture))
    over = [f"{seconds:.0f} s an image of 512x512; bound {MOST_SECONDS:.0f} s"] * (seconds > MOST_SECONDS)
    over += [f"{in_bytes(size)} an image; bound {in_bytes(MOST_BYTES)}"] * (size > MOST_BYTES)
    fail_if(over, "work on tiles, or on a smaller copy: memory is shared with everything else in the chain")
    time_taken = f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
    return f"{time_taken} and {in_bytes(size)} an image of 512x512"


@check("it keeps nothing of an image")
def retention(subject: Subject) -> str:
    """After some pictures more of one size, memory is what it was: a run may be a million images long."""
    call = _call(subject)
    many = [_picture(SIDE // 2, SIDE // 2, 22 + number) for number in range(MANY)]
    call(many[0])
    _, kept = allocated(lambda: [call(picture) for picture in many])
    if kept > sum(picture.nbytes for picture in many) // 2:
        raise Failed(
            f"{in_bytes(kept)} more are held after {MANY} pictures of {SIDE // 2}x{SIDE // 2}",
            "keep no picture, and nothing of its size, on self or in a cache",
        )
    return ""


_picture = cache(camera_picture)


def _call(subject: Subject) -> Callable[[Pixels], Any]:
    """Return a call that gives one picture to the stage, as its kind and what it wants demand."""
    wants = getattr(subject.instance, "wants", None)

    def call(picture: Pixels) -> Any:
        element: Any = picture
        if subject.kind == "precondition":
            element = ImageFile("camera", b"", "0" * 64, "PNG", picture.shape[1], picture.shape[0], picture)
        elif isinstance(wants, FileBytes):
            element = image_file(picture, "camera", "JPEG")
        elif isinstance(wants, Tiles):
            element = _picture(wants.size, wants.size, 22)
        return ASKED[subject.kind].answers(subject, subject.instance, {"camera": element})

    return call


def allocated(call: Callable[[], object]) -> tuple[int, int]:
    """Return how many bytes more Python and NumPy held at most during a call, and how many more after it."""
    already = tracemalloc.is_tracing()
    if not already:
        tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        most = tracemalloc.get_traced_memory()[1]
        gc.collect()
        return most - before, tracemalloc.get_traced_memory()[0] - before
    finally:
        if not already:
            tracemalloc.stop()


def in_bytes(size: int) -> str:
    """Return a size: ``31 MB``."""
    return f"{size / 1e6:.2g} MB" if size < 1e8 else f"{size / 1e9:.2g} GB"

"""What an image costs, and that nothing of it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError, WeightsMissing
from d2f.api.inputs import FileBytes, ImageFile, Tiles
from d2f.plugins.entries import Origin, found
from d2f.testing.batches import ask, in_bytes, left_behind, measured
from d2f.testing.pictures import camera_picture, image_file
from d2f.testing.report import Seen, watched
from d2f.testing.subject import Failed, Skipped, Subject, check, fail_if
from d2f.weights.sources import PINS, weights_folder

if TYPE_CHECKING:
    from d2f.api.inputs import Pixels


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
    given = {*_given_paths(options.model_dump()), str(weights_folder() / PINS)}
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
    """Return the texts among options: files and folders that the user names may be looked at, for digests."""
    return {text for value in options.values() for text in _texts(value)}


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
    origin = _origin(subject)
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


def _origin(subject: Subject) -> Origin | None:
    module = str(subject.stage.__module__).partition(".")[0]
    return next((origin for origin, _ in found() if origin.module == module), None)


@cache
def _loaded_by_listing(allowed: str, path: str) -> tuple[str, ...]:
    """Return which of `HEAVY` a listing of the built-in plugins and this one loads."""
    environment = {**os.environ, "PYTHONPATH": path, "D2F_PLUGINS": allowed}
    command = [sys.executable, "-c", PROGRAM, ",".join(HEAVY)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Skipped(f"a fresh Python could not list it: {done.stderr.strip().splitlines()[-1:] or 'no word'}")
    return tuple(done.stdout.split())


SIDE = 512
MANY = 4
"""Pictures over which memory must not grow."""


@check("an image's cost is bounded")
def cost(subject: Subject) -> str:
    """Time and memory of one picture; the bounds are generous, the figures are for its author."""
    call = _call(subject)
    picture = _picture(SIDE, 21)
    call(picture)
    found = measured(lambda: call(picture))
    fail_if(found.excess(), "work on tiles, or on a smaller copy: memory is shared with everything else in the chain")
    return str(found)


@check("it keeps nothing of an image")
def retention(subject: Subject) -> str:
    """After some pictures more of one size, memory is what it was: a run may be a million images long."""
    call = _call(subject)
    many = [_picture(SIDE // 2, 22 + number) for number in range(MANY)]
    call(many[0])
    kept = left_behind(lambda: [call(picture) for picture in many])
    if kept > sum(picture.nbytes for picture in many) // 2:
        raise Failed(
            f"{in_bytes(kept)} more are held after {MANY} pictures of {SIDE // 2}x{SIDE // 2}",
            "keep no picture, and nothing of its size, on self or in a cache",
        )
    return ""


@cache
def _picture(side: int, seed: int) -> Pixels:
    return camera_picture(side, side, seed=seed)


def _call(subject: Subject) -> Callable[[Pixels], Any]:
    """Return a call that gives one picture to the stage."""
    stage = subject.instance
    if subject.kind == "preprocessor":
        return lambda picture: stage.apply(picture, 1)
    if subject.kind == "trainable":
        return lambda picture: stage.features(picture)
    if subject.kind == "precondition":
        return lambda picture: stage.check(
            ImageFile("camera", b"", "0" * 64, "PNG", picture.shape[1], picture.shape[0], picture)
        )
    wants = stage.wants

    def score(picture: Pixels) -> object:
        element: Any = image_file(picture, "camera", "JPEG") if isinstance(wants, FileBytes) else picture
        if isinstance(wants, Tiles):
            element = _picture(wants.size, 22)
        return ask(subject, stage, {"camera": element})

    return score

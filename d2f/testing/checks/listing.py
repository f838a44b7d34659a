"""Listing a plugin costs little: what is heavy is imported where it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

from d2f.plugins.entry_points import Origin, found
from d2f.testing.check import Failed, Skipped, check
from d2f.testing.subject import Subject

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

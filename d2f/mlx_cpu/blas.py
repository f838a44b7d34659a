"""Point the BLAS and LAPACK calls of MLX's CPU library at OpenBLAS, or say why not."""

from __future__ import annotations

import os
import platform
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from d2f.mlx_cpu import elf
from d2f.mlx_cpu.check import wrong_functions
from d2f.mlx_cpu.openblas import DISTRIBUTION, OpenBLAS
from d2f.mlx_cpu.slots import point_slots

SWITCH = "D2F_BLAS"
"""Environment variable; ``off`` leaves MLX's own BLAS in place."""

MLX_LIBRARY = "libmlx.so"
FUNCTION = re.compile(r"cblas_\w+|[sdcz][a-z0-9]+_")
FAST_ALREADY = re.compile(r"openblas|mkl|blis|armpl|accelerate", re.IGNORECASE)


@dataclass(frozen=True)
class InForce:
    """Which BLAS MLX calls in this process.

    Parameters
    ----------
    name : str
        Such as ``OpenBLAS 0.3.34 (Haswell)``, or ``MLX's own``.
    reason : str
        Why it is this one.
    slow : bool
        It is the reference BLAS of the Linux wheel, and nobody asked for it.
    threads : int, optional
        How many a product may use, where it is known.
    functions : tuple of str
        What was pointed elsewhere.
    undo : mapping of slot to address
        What `undo` writes back.
    """

    name: str
    reason: str
    slow: bool = False
    threads: int | None = None
    functions: tuple[str, ...] = ()
    undo: Mapping[int, int] = field(default_factory=dict, repr=False)


_state: InForce | None = None


def in_force() -> InForce | None:
    """Return what was decided when MLX was imported, None before."""
    return _state


def take_up() -> InForce:
    """Decide, act and remember; called when MLX has been imported. Warns once where MLX stays slow."""
    global _state
    if _state is None:
        try:
            _state = _decide()
        except Exception as error:  # Whatever it is, MLX works without.
            _state = InForce("MLX's own", str(error) or type(error).__name__, slow=True)
        if _state.slow:
            warnings.warn(_slow(_state.reason), RuntimeWarning, stacklevel=2)
    return _state


def undo() -> None:
    """Give MLX its own BLAS back."""
    global _state
    if _state is not None and _state.undo:
        point_slots(_state.undo)
        _state = InForce("MLX's own", "OpenBLAS was taken back")


def _decide() -> InForce:
    if os.environ.get(SWITCH, "").lower() == "off":
        return InForce("MLX's own", f"{SWITCH}=off")
    if not sys.platform.startswith("linux"):
        return InForce("MLX's own", "only the Linux wheel of MLX has a slow one")
    library = elf.loaded_library(MLX_LIBRARY)
    if library is None or platform.machine() not in elf.SLOT_RELOCATIONS or sys.maxsize < 2**32:
        return InForce("MLX's own", f"no {MLX_LIBRARY} of a machine that d2f knows is loaded")
    if fast := [name for name in elf.needed(library) if FAST_ALREADY.search(name)]:
        return InForce(fast[0], "this build of MLX is linked to it")
    if preloaded := _preloaded():
        return InForce(preloaded, "it was loaded for the whole process before MLX")
    return _point_at_openblas(library)


def _preloaded() -> str | None:
    """Return the library that gives all others its ``cblas_sgemm``; MLX prefers it to its own."""
    from ctypes import CDLL

    try:
        CDLL(None)["cblas_sgemm"]
    except AttributeError:
        return None
    return next((name for name in ("MKL", "OpenBLAS") if _exports(name)), "a BLAS of this process")


def _exports(name: str) -> bool:
    from ctypes import CDLL

    try:
        CDLL(None)[{"MKL": "mkl_get_max_threads", "OpenBLAS": "openblas_get_config"}[name]]
    except AttributeError:
        return False
    return True


def _point_at_openblas(library: elf.Library) -> InForce:
    openblas = OpenBLAS()
    slots = elf.import_slots(library, platform.machine())
    addresses = {name: openblas.address(name) for name in slots if FUNCTION.fullmatch(name)}
    known = {name: address for name, address in addresses.items() if address is not None}
    if "cblas_sgemm" not in known:
        return InForce("MLX's own", "this build of MLX imports no BLAS, so that none can be replaced")
    if wrong := wrong_functions(known):
        kernels = f"{DISTRIBUTION} differ from numpy with the kernels that it chose, {openblas.version}"
        raise RuntimeError(f"{', '.join(wrong)} of {kernels}")
    before = point_slots({slot: address for name, address in known.items() for slot in slots[name]})
    return InForce(
        f"OpenBLAS {openblas.version}",
        f"from {DISTRIBUTION}, agrees with numpy",
        threads=openblas.threads,
        functions=tuple(sorted(known)),
        undo=before,
    )


def _slow(reason: str) -> str:
    # OpenBLAS reads this variable; its most common kernels are right on every processor of a kind.
    others = "OPENBLAS_CORETYPE=" + ("Haswell" if platform.machine() == "x86_64" else "ARMV8")
    remedy = others if "differ from numpy" in reason else f"pip install {DISTRIBUTION}"
    return (
        f"MLX multiplies matrices with its slow reference BLAS here, learned stages take about ten times as long: "
        f"{reason}. To have the fast one: {remedy}; to silence this: {SWITCH}=off"
    )

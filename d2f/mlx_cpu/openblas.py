"""OpenBLAS as the distribution scipy-openblas32 brings it: symbols prefixed ``scipy_``, 32-bit integers."""

from __future__ import annotations

import ctypes
import os
from importlib.util import find_spec
from pathlib import Path

DISTRIBUTION = "scipy-openblas32"
PREFIX = "scipy_"


class OpenBLAS:
    """The library, loaded, working on one thread.

    MLX calls it from as many streams as d2f gives it; split once more over threads, every product would
    wait for the slowest, which on a busy machine is long.

    Raises
    ------
    OSError
        If the distribution is not installed or its library cannot be loaded.
    """

    def __init__(self) -> None:
        self.path = _library_file()
        self._library = _load_with_one_thread(self.path)

    def address(self, name: str) -> int | None:
        """Return the address of a BLAS or LAPACK function by its ordinary name, None if it has none."""
        try:
            return ctypes.cast(self._library[PREFIX + name], ctypes.c_void_p).value
        except AttributeError:
            return None

    @property
    def threads(self) -> int:
        """How many threads a product may use."""
        return int(self._library[PREFIX + "openblas_get_num_threads"]())

    @property
    def version(self) -> str:
        """Its version, and the kernels that it has chosen for this processor, such as ``0.3.34 (Haswell)``."""
        return f"{self._text('openblas_get_config').split()[1]} ({self._text('openblas_get_corename')})"

    def _text(self, name: str) -> str:
        function = self._library[PREFIX + name]
        function.restype = ctypes.c_char_p
        text: bytes = function()
        return text.decode()


def _library_file() -> Path:
    spec = find_spec("scipy_openblas32")  # Importing it would load the library for everybody.
    if spec is None or spec.origin is None:
        raise OSError(f"{DISTRIBUTION} is not installed")
    for file in sorted(Path(spec.origin).parent.glob("lib/libscipy_openblas*.so")):
        return file
    raise OSError(f"{DISTRIBUTION} holds no library")


def _load_with_one_thread(file: Path) -> ctypes.CDLL:
    """Load with no pool of threads started, and leave the environment as it was."""
    variable = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        library = ctypes.CDLL(str(file))
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
    # It may have been loaded before, with threads.
    library[PREFIX + "openblas_set_num_threads"](1)
    return library

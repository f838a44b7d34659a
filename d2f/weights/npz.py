"""The .npz format, read without pickles and written so that equal arrays give equal bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from d2f.weights.safetensors import DTYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray


SUFFIX = ".npy"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can name; the hour of writing is no part of weights."""


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an .npz file."""
    import numpy as np

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            if array.dtype.name not in DTYPES:
                raise TypeError(f"array '{name}' has dtype {array.dtype}, which a weights file cannot hold")
            little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            with archive.open(zipfile.ZipInfo(f"{name}{SUFFIX}", LONG_AGO), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, little, allow_pickle=False)
    return held.getvalue()


def npz_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file; raises whatever NumPy raises."""
    import numpy as np

    with zipfile.ZipFile(io.BytesIO(data)) as archive, np.load(io.BytesIO(data), allow_pickle=False) as held:
        # numpy hands out the bytes of a member that is no array; such a file is not one of weights.
        strangers = [name for name in archive.namelist() if not name.endswith(SUFFIX)]
        if strangers:
            raise ValueError(f"it holds '{strangers[0]}', which is no array")
        return {name: held[name] for name in held.files}

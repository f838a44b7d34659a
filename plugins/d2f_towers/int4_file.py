"""The tower that ships: the first eight blocks of CLIP ViT-B/16, its large weights at four bits.

    python -m d2f_towers.int4_file -o plugins/d2f_towers/clip-vit-b16-first8.safetensors

makes the file out of `clip-vit-b16` (d2f weights pull clip-vit-b16). The weights of a block's linear layers stand in it
as MLX's affine quantisation writes them: in each row groups of 64, w = scale q + offset, q from 0 to 15, two to a byte,
the lower half first; scale and offset in half precision, as everything else is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from d2f import D2FError, Exit, Weights
from d2f.weights import read_weights, resolve, write_weights
from d2f_towers.int8_file import int8_arrays

GROUP = 64
"""Weights that share a scale and an offset."""

BITS, LEVELS = 4, 15
PACKED, SCALE, OFFSET = ".packed", ".scale", ".offset"
LINEAR = ("qkv.weight", "out.weight", "fc1.weight", "fc2.weight")

Arrays = dict[str, NDArray[Any]]


def int4_arrays(record: Weights) -> Arrays:
    """Return the weights under the names of `d2f.models.ViT`, float32.

    Raises
    ------
    WeightsMissing, D2FError
        As `d2f.weights.read_weights`; D2F504 where the file holds something else.
    """
    held = read_weights(record).arrays
    try:
        return {
            name.removesuffix(PACKED): _unpacked(held, name.removesuffix(PACKED))
            if name.endswith(PACKED)
            else array.astype(np.float32)
            for name, array in held.items()
            if not name.endswith((SCALE, OFFSET))
        }
    except (KeyError, ValueError) as error:
        message = f"weights '{record.name}' are not a tower packed to four bits: {error}"
        raise D2FError.of("D2F504", message, exit=Exit.PLUGIN) from error


def packed(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return a tower's arrays with the weights of linear layers at four bits, and the rest in half precision."""
    made: Arrays = {}
    for name, array in arrays.items():
        if not name.endswith(LINEAR):
            made[name] = array.astype(np.float16)
            continue
        levels, scale, offset = map(np.array, mx.quantize(mx.array(array), GROUP, BITS))
        made[name + PACKED] = levels.view(np.uint8)
        made |= {name + SCALE: scale.astype(np.float16), name + OFFSET: offset.astype(np.float16)}
    return made


def _unpacked(held: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    both = held[name + PACKED]
    expected = (len(both), 2 * both.shape[-1] // GROUP)
    if both.dtype != np.uint8 or both.ndim != 2 or any(held[name + kind].shape != expected for kind in (SCALE, OFFSET)):
        raise ValueError(f"{name}: levels, scales and offsets do not fit together")
    levels = np.stack([both & LEVELS, both >> 4], -1).reshape(len(both), -1, GROUP).astype(np.float32)
    scale, offset = (held[name + kind].astype(np.float32)[..., None] for kind in (SCALE, OFFSET))
    return (levels * scale + offset).reshape(len(both), -1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, and print its digest."""
    from d2f_towers.records import RECORDS
    from d2f_towers.towers import TOWERS

    parser = argparse.ArgumentParser(prog="python -m d2f_towers.int4_file", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", required=True, type=Path, help="the file to write")
    given = parser.parse_args(arguments)
    full, first = TOWERS["clip-vit-b16"].shape, TOWERS["clip-vit-b16-first8"].shape
    about = {"tower": "clip-vit-b16-first8", "bits": str(BITS), "group": str(GROUP), "licence": "MIT, OpenAI's CLIP"}
    try:
        arrays = int8_arrays(resolve("clip-vit-b16", RECORDS), full)
        wanted = {
            name: array
            for name, array in arrays.items()
            if not name.startswith("blocks.") or int(name.split(".")[1]) < first.depth
        }
        print(write_weights(given.output, packed(wanted), about))
    except D2FError as error:
        print(error, file=sys.stderr)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())

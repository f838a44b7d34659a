"""A network from a weights file that `d2f train` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from d2f import D2FError, Exit, Problem
from d2f.models import load_arrays
from d2f.weights import WeightsFile
from d2f_frequency_residual.options import NetworkOptions

TRAINABLE = "frequency-residual"


def read_network(held: WeightsFile, name: str) -> Callable[[Any], Any]:
    """Return what a weights file's network makes of pictures, uint8 (n, height, width, 3) to logits (n,).

    Raises
    ------
    D2FError
        D2F504: the file is not of such a network.
    """
    import mlx.core as mx

    from d2f_frequency_residual.network import build_network

    if held.metadata.get("trainable") != TRAINABLE:
        note = f"weights of `{TRAINABLE}` are .safetensors files that `d2f train` wrote; they carry the options"
        message = f"weights '{name}' do not say that they are of `{TRAINABLE}`"
        raise D2FError(Problem("D2F504", message, notes=(note,)), Exit.PLUGIN)
    network = build_network(NetworkOptions.model_validate(json.loads(held.metadata["options"])))
    load_arrays(network, held.arrays, name)
    network.eval()
    return lambda pixels: network(pixels.astype(mx.float32) / 255.0)

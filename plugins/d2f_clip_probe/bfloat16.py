"""The tower in PyTorch's bfloat16 (option `precision: bfloat16`), for processors that multiply it.

MLX and the BLAS below it multiply float32 only, which takes a core twice as long (docs/reference/speed.md). The weights
are the MLX tower's own; norms, sums and what is returned stay float32.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f import D2FError, Exit, Problem
from d2f_clip_probe.tower import DEVIATION, EPSILON, HEADS, MEAN, PATCH, SIDE, WIDTH, Tower


class Bfloat16Tower:
    """What `Tower` computes, to about three digits.

    Parameters
    ----------
    tower : Tower
        With its weights.

    Raises
    ------
    D2FError
        D2F206: PyTorch is not installed.
    """

    def __init__(self, tower: Tower) -> None:
        if find_spec("torch") is None:
            message = "option `precision: bfloat16` of clip-probe needs PyTorch, which is not installed"
            note = "pip install 'd2f[torch]', or leave `precision` at float32"
            raise D2FError(Problem("D2F206", message, notes=(note,)), Exit.PLUGIN)
        import torch

        self._torch = torch
        self._asked = tower.asked
        self._patches = self._half(tower.patches.weight)
        self._token, self._places = self._full(tower.token), self._full(tower.places)
        self._norm = self._pair(tower.norm)
        self._blocks = [
            {
                **{name: self._pair(block[name]) for name in ("norm1", "norm2")},
                **{name: self._linear(block[name]) for name in ("qkv", "out", "fc1", "fc2")},
            }
            for block in tower.blocks
        ]

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class tokens of pictures (n, 224, 224, 3), each by itself, shape (n, 768 * blocks), float32."""
        with self._torch.inference_mode():
            return np.stack([self._tokens(picture) for picture in pictures])

    def _tokens(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        torch, functional, side = self._torch, self._torch.nn.functional, SIDE // PATCH
        pixels = (picture.astype(np.float32) / 255.0 - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        cut = torch.from_numpy(pixels).reshape(side, PATCH, side, PATCH, 3).permute(0, 2, 1, 3, 4)
        patches = functional.linear(cut.reshape(side * side, -1).bfloat16(), self._patches).float()
        x = torch.cat([self._token[None], patches]) + self._places
        x = functional.layer_norm(x, (WIDTH,), *self._norm, EPSILON)
        tokens = []
        for number, block in enumerate(self._blocks, start=1):
            inner = functional.layer_norm(x, (WIDTH,), *block["norm1"], EPSILON).bfloat16()
            qkv = (
                functional.linear(inner, *block["qkv"]).reshape(1, -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            )
            asked = qkv[0]
            if number == len(self._blocks):
                asked, x = asked[:, :, :1], x[:1]  # nothing reads the patches after the last block
            mixed = functional.scaled_dot_product_attention(asked, qkv[1], qkv[2])
            x = x + functional.linear(mixed.permute(0, 2, 1, 3).reshape(-1, WIDTH), *block["out"]).float()
            inner = functional.layer_norm(x, (WIDTH,), *block["norm2"], EPSILON).bfloat16()
            inner = functional.linear(inner, *block["fc1"])
            x = x + functional.linear(inner * torch.sigmoid(1.702 * inner), *block["fc2"]).float()
            if number in self._asked:
                tokens.append(x[0])
        found: NDArray[np.float32] = torch.cat(tokens).numpy()
        return found

    def _full(self, array: Any) -> Any:
        return self._torch.from_numpy(np.array(array))

    def _half(self, array: Any) -> Any:
        return self._full(array).bfloat16()

    def _pair(self, layer: Any) -> tuple[Any, Any]:
        return self._full(layer.weight), self._full(layer.bias)

    def _linear(self, layer: Any) -> tuple[Any, Any]:
        return self._half(layer.weight), self._half(layer.bias)

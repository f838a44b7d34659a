"""A tower in PyTorch's bfloat16 (option `precision: bfloat16`), for processors and GPUs that multiply it.

MLX and the BLAS below it multiply float32 only on a CPU, which takes a core twice as long (docs/reference/speed.md).
The weights are the MLX tower's own; norms, sums and what is returned stay float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f import D2FError, Exit, Problem
from d2f.models import ViT, rotary_angles


class Bfloat16Tower:
    """What `d2f_towers.towers.tokens_of` computes, to about three digits.

    Parameters
    ----------
    network : ViT
        With its weights and its normalisation.

    Raises
    ------
    D2FError
        D2F206: PyTorch is not installed.
    """

    def __init__(self, network: ViT) -> None:
        if find_spec("torch") is None:
            message = "option `precision: bfloat16` of clip-probe needs PyTorch, which is not installed"
            note = "pip install 'd2f[torch]', or leave `precision` at float32"
            raise D2FError(Problem("D2F206", message, notes=(note,)), Exit.PLUGIN)
        import torch

        self._torch, self._shape = torch, network.shape
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        assert network.normalise is not None
        self._mean, self._deviation = (
            np.array(three, np.float32) for three in (network.normalise.mean, network.normalise.deviation)
        )
        self._patches = self._linear(network.patches)
        self._prefix: Any = self._full(network.prefix) if self._shape.prefix else None
        self._places: Any = self._full(network.places) if self._shape.places != "none" else None
        self._before = self._pair(network.norm_before) if self._shape.norm_before else None
        self._turns: Any = None
        if self._shape.rotary is not None:
            angles = self._full(rotary_angles(self._shape))
            self._turns = torch.cos(angles), torch.sin(angles)
        self._blocks = [self._block(block) for block in network.blocks]

    def __call__(self, pictures: NDArray[np.uint8], blocks: Sequence[int]) -> NDArray[np.float32]:
        """Return the tokens of pictures (n, size, size, 3), each by itself, shape (n, width * len(blocks))."""
        with self._torch.inference_mode():
            return np.stack([self._tokens(picture, blocks) for picture in pictures])

    def _embedded(self, picture: NDArray[np.uint8]) -> Any:
        torch, side, patch = self._torch, self._shape.side, self._shape.patch
        pixels = (picture.astype(np.float32) / 255.0 - self._mean) / self._deviation
        used = torch.from_numpy(pixels[: side * patch, : side * patch]).to(self._device)
        cut = used.reshape(side, patch, side, patch, 3).permute(0, 2, 1, 3, 4).reshape(side * side, -1)
        tokens = torch.nn.functional.linear(cut.bfloat16(), *self._patches).float()
        prefix = self._prefix
        if self._shape.places == "all":
            tokens = tokens + self._places[1:]
            prefix = torch.cat([prefix[:1] + self._places[:1], prefix[1:]])
        elif self._shape.places == "patches":
            tokens = tokens + self._places
        x = tokens if prefix is None else torch.cat([prefix, tokens])
        return x if self._before is None else self._normed(x, self._before)

    def _tokens(self, picture: NDArray[np.uint8], blocks: Sequence[int]) -> NDArray[np.float32]:
        functional, shape = self._torch.nn.functional, self._shape
        x, found = self._embedded(picture), []
        for number, block in enumerate(self._blocks[: max(blocks)], start=1):
            inner = self._normed(x, block["norm1"]).bfloat16()
            q, k, v = (
                functional.linear(inner, *block["qkv"]).reshape(1, len(x), 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
            )
            q, k = self._turned(q), self._turned(k)
            if number == shape.depth and shape.prefix:
                q, x = q[:, :, :1], x[:1]  # nothing reads the patches after the last block
            mixed = functional.scaled_dot_product_attention(q, k, v).permute(0, 2, 1, 3).reshape(-1, shape.width)
            x = x + functional.linear(mixed, *block["out"]).float() * block["scale1"]
            inner = functional.linear(self._normed(x, block["norm2"]).bfloat16(), *block["fc1"])
            x = x + functional.linear(self._activated(inner), *block["fc2"]).float() * block["scale2"]
            if number in blocks:
                found.append(x[0] if shape.prefix else x.mean(0))
        tokens: NDArray[np.float32] = self._torch.cat(found).cpu().numpy()
        return tokens

    def _turned(self, x: Any) -> Any:
        if self._turns is None:
            return x
        first, second = x[:, :, self._shape.prefix :].float().chunk(2, dim=-1)
        cosine, sine = self._turns
        patches = self._torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
        return self._torch.cat([x[:, :, : self._shape.prefix], patches.bfloat16()], dim=2)

    def _activated(self, x: Any) -> Any:
        if self._shape.activation == "quick-gelu":
            return x * self._torch.sigmoid(1.702 * x)
        approximate = "tanh" if self._shape.activation == "gelu-tanh" else "none"
        return self._torch.nn.functional.gelu(x, approximate=approximate)

    def _normed(self, x: Any, pair: tuple[Any, Any]) -> Any:
        return self._torch.nn.functional.layer_norm(x, (self._shape.width,), *pair, self._shape.epsilon)

    def _block(self, block: Any) -> dict[str, Any]:
        scales = {f"scale{n}": self._full(block[f"scale{n}"]) if self._shape.layer_scale else 1.0 for n in (1, 2)}
        norms = {name: self._pair(block[name]) for name in ("norm1", "norm2")}
        return {**scales, **norms, **{name: self._linear(block[name]) for name in ("qkv", "out", "fc1", "fc2")}}

    def _full(self, array: Any) -> Any:
        return self._torch.from_numpy(np.array(array)).to(self._device)

    def _pair(self, layer: Any) -> tuple[Any, Any]:
        return self._full(layer.weight), self._full(layer.bias)

    def _linear(self, layer: Any) -> tuple[Any, Any]:
        return self._full(layer.weight).bfloat16(), self._full(layer.bias).bfloat16()

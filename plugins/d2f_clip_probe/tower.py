"""The image tower of CLIP ViT-B/16 in MLX.

A vision transformer as published by OpenAI (Radford et al., "Learning transferable visual models from natural language
supervision", arXiv 2103.00020): patches of 16 pixels, 12 blocks of width 768 with 12 heads, layer norm before each
part, the activation ``y * sigmoid(1.702 y)``. What is asked of it are the tokens after some of its blocks, not its
embedding: those of the middle blocks tell generated from real better (RINE, arXiv 2402.19091).
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn

SIDE = 224
"""Height and width of its input, in pixels."""
PATCH = 16
WIDTH = 768
HEADS = 12
BLOCKS = 12
EPSILON = 1e-5
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue in [0, 1], as OpenAI's preprocessing has them."""


class Block(nn.Module):
    """Attention and a perceptron, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, EPSILON), nn.LayerNorm(WIDTH, EPSILON)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def __call__(self, x: mx.array) -> mx.array:
        x = x + self.out(self._attention(self.qkv(self.norm1(x))))
        inner = self.fc1(self.norm2(x))
        return x + self.fc2(inner * mx.sigmoid(1.702 * inner))

    @staticmethod
    def _attention(qkv: mx.array) -> mx.array:
        n, tokens, _ = qkv.shape
        split = qkv.reshape(n, tokens, 3, HEADS, WIDTH // HEADS).transpose(2, 0, 3, 1, 4)
        scale = (WIDTH // HEADS) ** -0.5
        mixed = mx.fast.scaled_dot_product_attention(split[0], split[1], split[2], scale=scale)
        return mixed.transpose(0, 2, 1, 3).reshape(n, tokens, WIDTH)


class Tower(nn.Module):
    """The tower up to its last block that is asked for.

    Parameters
    ----------
    blocks : sequence of int
        After which blocks the class token is taken, 1..12, rising.
    """

    def __init__(self, blocks: Sequence[int]) -> None:
        super().__init__()
        self.asked = tuple(blocks)
        self.patches = nn.Linear(PATCH * PATCH * 3, WIDTH, bias=False)
        self.token = mx.zeros((WIDTH,))
        self.places = mx.zeros(((SIDE // PATCH) ** 2 + 1, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        self.blocks = [Block() for _ in range(max(self.asked))]

    def __call__(self, x: mx.array) -> mx.array:
        """Return the class tokens after each block that was asked for, one behind the other.

        Parameters
        ----------
        x : mlx.core.array, shape (n, 224, 224, 3)
            sRGB, 0..255.

        Returns
        -------
        mlx.core.array, shape (n, 768 * len(blocks)), float32
        """
        n, side = x.shape[0], SIDE // PATCH
        x = (x.astype(mx.float32) / 255.0 - mx.array(MEAN)) / mx.array(DEVIATION)
        cut = x.reshape(n, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 2, 4, 5).reshape(n, side * side, -1)
        first = mx.broadcast_to(self.token, (n, 1, WIDTH))
        x = self.norm(mx.concatenate([first, self.patches(cut)], axis=1) + self.places)
        tokens = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in self.asked:
                tokens.append(x[:, 0])
        return mx.concatenate(tokens, axis=1)

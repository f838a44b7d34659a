"""Vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929) in MLX, channels last, as published towers have them.

One network serves CLIP, MetaCLIP 2, SigLIP 2, DINOv2, DINOv3, Perception Encoder and timm's own: what they differ in
stands in `ViTShape`. `d2f.models.published_vit` brings their state dicts into its words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import mlx.core as mx
import mlx.nn as nn

from d2f.layers import attention, normal_distribution, sigmoid
from d2f.models.config import Normalisation

Activation: TypeAlias = Literal["gelu", "gelu-tanh", "quick-gelu"]

ACTIVATIONS: dict[Activation, Callable[[mx.array], mx.array]] = {
    "gelu": lambda x: x * normal_distribution(x),
    "gelu-tanh": lambda x: x * sigmoid((8 / mx.pi) ** 0.5 * (x + 0.044715 * x * x * x)),
    "quick-gelu": lambda x: x * sigmoid(1.702 * x),
}
"""x Phi(x) (Hendrycks and Gimpel, arXiv:1606.08415), its approximation by tanh (half of which, and a half, is a sigmoid
of twice as much), and that by a sigmoid."""


@dataclass(frozen=True, slots=True)
class ViTShape:
    """A vision transformer.

    Parameters
    ----------
    size : int
        Height and width of its input in pixels; a rest that fills no patch is cut off at the bottom and the right.
    patch, width, depth, heads, hidden : int
        Side of a patch, channels, blocks, heads of attention, channels within a perceptron.
    activation : {'gelu', 'gelu-tanh', 'quick-gelu'}
    epsilon : float
        What layer norm adds to a variance.
    prefix : int
        Tokens before those of the patches: the class token, then registers (arXiv:2309.16588).
    places : {'all', 'patches', 'none'}
        Which tokens a learned position is added to; `all` is the class token and the patches.
    rotary : {'centred', 'index'} or None
        Rotary positions of patches in every attention (arXiv:2104.09864); see `rotary_angles`.
    norm_before : bool
        Layer norm before the first block.
    layer_scale : bool
        What each part adds is multiplied by a learned vector (arXiv:2103.17239).
    pool : {'class', 'attention'}
        The output: the class token after the last layer norm, or one query's attention over all tokens
        (arXiv:1810.00825) and a perceptron.
    pool_heads : int
        Heads of that attention.
    out : int or None
        Channels of a last linear layer, where there is one.
    """

    size: int
    patch: int
    width: int
    depth: int
    heads: int
    hidden: int
    activation: Activation = "gelu"
    epsilon: float = 1e-6
    prefix: int = 1
    places: Literal["all", "patches", "none"] = "all"
    rotary: Literal["centred", "index"] | None = None
    norm_before: bool = False
    layer_scale: bool = False
    pool: Literal["class", "attention"] = "class"
    pool_heads: int = 8
    out: int | None = None

    @property
    def side(self) -> int:
        """Patches along a side."""
        return self.size // self.patch

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.prefix + self.side**2


def rotary_angles(shape: ViTShape) -> mx.array:
    """Return the angles by which pairs of channels of a head are turned, shape (patches, channels of a head / 2).

    Half of the pairs turn with one coordinate c of the patch, half with the other, at angles c / base^(k / n), k from
    0 to n - 1 of n pairs. `centred` (DINOv3): row, then column, of the patch's centre in [-1, 1] times 2 pi, base
    100. `index` (Perception Encoder): column, then row, counted from 1, base 10000.
    """
    pairs = shape.width // shape.heads // 4
    exponents = mx.arange(pairs) / pairs
    if shape.rotary == "centred":
        along = (2 * (mx.arange(shape.side) + 0.5) / shape.side - 1) * (2 * mx.pi)
        frequencies = 100.0**-exponents
    else:
        along = mx.arange(1, shape.side + 1).astype(mx.float32)
        frequencies = 10000.0**-exponents
    one = along[:, None] * frequencies
    rows = mx.broadcast_to(one[:, None], (shape.side, shape.side, pairs))
    columns = mx.broadcast_to(one[None], (shape.side, shape.side, pairs))
    both = (rows, columns) if shape.rotary == "centred" else (columns, rows)
    return mx.concatenate(both, axis=-1).reshape(shape.side**2, 2 * pairs)


class ViT(nn.Module):
    """A vision transformer for pictures of one size.

    Parameters
    ----------
    shape : ViTShape
    normalise : Normalisation, optional
        What becomes of pixels before the first layer.

    Examples
    --------
    >>> import mlx.core as mx
    >>> from d2f.models import ViT, ViTShape
    >>> network = ViT(ViTShape(32, 8, width=16, depth=3, heads=2, hidden=32, out=5))
    >>> network(mx.zeros((2, 32, 32, 3))).shape
    (2, 5)
    >>> [tokens.shape for tokens in network.after(mx.zeros((2, 32, 32, 3)), blocks=(1, 3))]
    [(2, 17, 16), (2, 17, 16)]
    """

    def __init__(self, shape: ViTShape, normalise: Normalisation | None = None) -> None:
        super().__init__()
        self.shape, self.normalise = shape, normalise
        width = shape.width
        self.patches = nn.Linear(3 * shape.patch**2, width)
        if shape.prefix:
            self.prefix = mx.zeros((shape.prefix, width))
        if shape.places != "none":
            self.places = mx.zeros((shape.side**2 + (shape.places == "all"), width))
        if shape.norm_before:
            self.norm_before = nn.LayerNorm(width, shape.epsilon)
        self.blocks = [Block(shape) for _ in range(shape.depth)]
        self.norm = nn.LayerNorm(width, shape.epsilon)
        if shape.pool == "attention":
            self.pool = AttentionPool(shape)
        if shape.out is not None:
            self.head = nn.Linear(width, shape.out)

    def embedded(self, x: mx.array) -> mx.array:
        """Return the tokens before the first block, (n, tokens, width), of pictures (n, size, size, 3) in [0, 1]."""
        shape = self.shape
        x = x if self.normalise is None else self.normalise(x)
        n, side, patch = x.shape[0], shape.side, shape.patch
        used = x[:, : side * patch, : side * patch]
        cut = used.reshape(n, side, patch, side, patch, 3).transpose(0, 1, 3, 2, 4, 5).reshape(n, side * side, -1)
        tokens = self.patches(cut)
        prefix = self.prefix if shape.prefix else None
        if shape.places == "all":
            tokens = tokens + self.places[1:]
            prefix = mx.concatenate([self.prefix[:1] + self.places[:1], self.prefix[1:]])
        elif shape.places == "patches":
            tokens = tokens + self.places
        if prefix is not None:
            tokens = mx.concatenate([mx.broadcast_to(prefix, (n, *prefix.shape)), tokens], axis=1)
        return self.norm_before(tokens) if shape.norm_before else tokens

    def after(self, x: mx.array, blocks: Sequence[int], first: int | None = None) -> list[mx.array]:
        """Return the tokens after some blocks, each (n, tokens, width); no block after the last of them is computed.

        Parameters
        ----------
        x : mlx.core.array, shape (n, size, size, 3), float32
            In [0, 1].
        blocks : sequence of int
            From 1 to the depth, rising.
        first : int, optional
            So many tokens are wanted of each; the last block then computes no more.
        """
        found = []
        tokens = self.embedded(x)
        angles = None if self.shape.rotary is None else rotary_angles(self.shape)
        for number, block in enumerate(self.blocks[: max(blocks)], start=1):
            tokens = block(tokens, angles, first if number == max(blocks) else None)
            if number in blocks:
                found.append(tokens[:, :first])
        return found

    def pooled(self, tokens: mx.array) -> mx.array:
        """Return the output of the tokens after the last block, (n, width), before the head."""
        normed = self.norm(tokens)
        made: mx.array = self.pool(normed) if self.shape.pool == "attention" else normed[:, 0]
        return made

    def __call__(self, x: mx.array) -> mx.array:
        """Return the output of pictures.

        Parameters
        ----------
        x : mlx.core.array, shape (n, size, size, 3), float32
            In [0, 1].

        Returns
        -------
        mlx.core.array, shape (n, out), or (n, width) without a head
        """
        (tokens,) = self.after(x, (self.shape.depth,))
        made = self.pooled(tokens)
        return self.head(made) if self.shape.out is not None else made


class Block(nn.Module):
    """Attention and a perceptron, each after a layer norm and added to what came in."""

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.prefix = shape.heads, shape.prefix
        self.activation = ACTIVATIONS[shape.activation]
        self.norm1, self.norm2 = nn.LayerNorm(width, shape.epsilon), nn.LayerNorm(width, shape.epsilon)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)
        self.scaled = shape.layer_scale
        if shape.layer_scale:
            self.scale1, self.scale2 = mx.ones((width,)), mx.ones((width,))

    def __call__(self, x: mx.array, angles: mx.array | None = None, first: int | None = None) -> mx.array:
        """Return the tokens (n, tokens, width) after this block, all or the first of them."""
        mixed = self.out(self._attention(self.qkv(self.norm1(x)), angles, first))
        x = x[:, :first] + (mixed * self.scale1 if self.scaled else mixed)
        made = self.fc2(self.activation(self.fc1(self.norm2(x))))
        return x + (made * self.scale2 if self.scaled else made)

    def _attention(self, qkv: mx.array, angles: mx.array | None, first: int | None) -> mx.array:
        n, tokens, _ = qkv.shape
        q, k, v = qkv.reshape(n, tokens, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
        if angles is not None:
            q, k = (turned(part, angles, self.prefix) for part in (q, k))
        return merged(q[:, :, :first], k, v)


class AttentionPool(nn.Module):
    """One learned query's attention over all tokens, and a perceptron that is added to it."""

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.pool_heads
        self.activation = ACTIVATIONS[shape.activation]
        self.query = mx.zeros((1, width))
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, shape.epsilon)
        self.fc1, self.fc2 = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)

    def __call__(self, x: mx.array) -> mx.array:
        """Return (n, width) of tokens (n, tokens, width)."""
        n, tokens, width = x.shape
        q = mx.broadcast_to(self.q(self.query), (n, 1, width)).reshape(n, 1, self.heads, -1).transpose(0, 2, 1, 3)
        k, v = self.kv(x).reshape(n, tokens, 2, self.heads, -1).transpose(2, 0, 3, 1, 4)
        y = self.out(merged(q, k, v))
        return (y + self.fc2(self.activation(self.fc1(self.norm(y)))))[:, 0]


def merged(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Return softmax(q k' / sqrt(d)) v, heads side by side, (n, queries, width), of (n, heads, tokens, d) each."""
    return attention(q, k, v).transpose(0, 2, 1, 3).reshape(q.shape[0], q.shape[2], -1)


def turned(x: mx.array, angles: mx.array, prefix: int) -> mx.array:
    """Return (n, heads, tokens, d) with channels i and i + d / 2 of patches turned by an angle, the prefix as it is."""
    cosine, sine = mx.cos(angles), mx.sin(angles)
    first, second = mx.split(x[:, :, prefix:], 2, axis=-1)
    patches = mx.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return mx.concatenate([x[:, :, :prefix], patches], axis=2)

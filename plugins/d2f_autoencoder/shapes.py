"""The arrays that the two weights files hold; keys are positions in a sequence of layers."""

from __future__ import annotations

WIDTH = 64
LATENT = 32
WIDE = 256
GROUPS = 4

Shapes = dict[str, tuple[int, ...]]


def encoder() -> Shapes:
    """Return name and shape of every array of the encoder, as PyTorch holds them."""
    shapes = _convolution("0", WIDTH, 3)
    for place in (2, 6, 10):
        shapes |= _convolution(str(place), WIDTH, WIDTH, bias=False)
    for place in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13):
        shapes |= _block(str(place), pool=place > 10)
    return shapes | _convolution("14", LATENT, WIDTH)


def decoder() -> Shapes:
    """Return name and shape of every array of the decoder, as PyTorch holds them."""
    shapes = _convolution("1", WIDTH, LATENT)
    for place in (7, 12, 17):
        shapes |= _convolution(str(place), WIDTH, WIDTH, bias=False)
    for place in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18):
        shapes |= _block(str(place), pool=place < 7)
    return shapes | _convolution("19", 3, WIDTH)


def _block(name: str, pool: bool) -> Shapes:
    shapes: Shapes = {}
    for place in (0, 2, 4):
        shapes |= _convolution(f"{name}.conv.{place}", WIDTH, WIDTH)
    if pool:
        shapes |= {f"{name}.pool.0.weight": (WIDE, WIDTH, 1, 1), f"{name}.pool.3.weight": (WIDTH, WIDE, 1, 1)}
        shapes |= {f"{name}.pool.1.weight": (WIDE,), f"{name}.pool.1.bias": (WIDE,)}
    return shapes


def _convolution(name: str, out: int, channels: int, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (out, channels, 3, 3)}
    return shapes | {f"{name}.bias": (out,)} if bias else shapes

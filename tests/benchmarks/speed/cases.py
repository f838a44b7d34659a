"""What is measured: a product, the convolutions of the networks, the networks whole, and types of half the size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.speed.networks import REFERENCES, Network, convolutions, shipped

BATCHES = (1, 16)
PRODUCT = 2048
HALF_PRODUCT = 1024
"""Smaller, as MLX has loops of its own for types of half the size."""
TYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Case:
    """One thing to be timed.

    Parameters
    ----------
    kind : str
        ``product``, ``convolution``, ``network`` or ``precision``.
    what : tuple
        Size of the product; or (size, in, out, kernel, stride, padding); or a `Network`; or a type, with what is
        computed in it.
    work : str
        ``forward``, ``forward and backward``, ``inference`` or ``training step``.
    batch : int
    name : str
        What the report calls it.
    shipped : bool
        It is a network that ships.
    """

    kind: str
    what: tuple[Any, ...]
    work: str
    batch: int
    name: str
    shipped: bool = False

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Case:
        """Return the case that plain data describe."""
        return cls(**{**data, "what": tuple(data["what"])})

    @property
    def told(self) -> str:
        """The case in a line, such as ``network ResNet-18, inference, batch 1``."""
        return f"{self.kind} {self.name}, {self.work}, batch {self.batch}"


def all_cases() -> list[Case]:
    """Return every case: products first, the longest last."""
    cases = [Case("product", (PRODUCT,), "forward", 1, f"{PRODUCT}x{PRODUCT}")]
    cases += [_precision((kind, *what)) for what in ((HALF_PRODUCT,), (28, 64, 64, 3, 1, 1)) for kind in TYPES]
    own = shipped()
    named = own | REFERENCES
    works = ("inference", "training step")
    cases += [
        Case("network", tuple(named[name]), work, n, name, name in own)
        for name in named
        for work in works
        for n in BATCHES
    ]
    shapes = {shape for network in named.values() for shape in convolutions(network)}
    works = ("forward", "forward and backward")
    cases += [
        Case("convolution", shape, work, n, convolution_name(shape))
        for shape in sorted(shapes, reverse=True)
        for work in works
        for n in BATCHES
    ]
    return cases


def network_of(case: Case) -> Network:
    """Return the network of a case."""
    return Network(*case.what)


def convolution_name(shape: tuple[int, ...]) -> str:
    """Return what the report calls a convolution."""
    size, into, out, kernel, stride, _ = shape
    return f"{size}x{size}, {into} to {out}, {kernel}x{kernel}" + (f" stride {stride}" if stride > 1 else "")


def _precision(what: tuple[Any, ...]) -> Case:
    kind, *rest = what
    single = len(rest) == 1
    name = f"{rest[0]}x{rest[0]}" if single else convolution_name(tuple(rest))
    return Case("precision", what, "forward", 1 if single else 16, f"{name}, {kind}")

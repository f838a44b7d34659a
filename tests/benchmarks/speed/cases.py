"""What is measured: a product, the convolutions of the candidate networks, and the networks whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from d2f.models.shape import ResNetShape, Stage, Stem, resnet_shape

PICTURE = 224

NETWORKS: Mapping[str, ResNetShape] = {
    "patch CNN": ResNetShape(Stem(64, 8, 8), (Stage(64, 2), Stage(128, 2))),
    "ResNet-44, stem 4x4 stride 4": resnet_shape(44, stem=Stem(16, 4, 4)),
    "ResNet-18": resnet_shape(18),
    "ResNet-44": resnet_shape(44),
}


@dataclass(frozen=True)
class Case:
    """One thing to be timed.

    Parameters
    ----------
    kind : str
        ``product``, ``convolution`` or ``network``.
    what : tuple
        Size of the product; or (size, in, out, kernel, stride, padding); or a key of `NETWORKS`.
    work : str
        ``forward``, ``forward and backward``, ``inference`` or ``training step``.
    batch : int
    """

    kind: str
    what: tuple[Any, ...]
    work: str
    batch: int

    @property
    def name(self) -> str:
        """What the report calls it."""
        if self.kind == "product":
            return f"{self.what[0]}x{self.what[0]}"
        if self.kind == "network":
            return str(self.what[0])
        size, into, out, kernel, stride, _ = self.what
        return f"{size}x{size}, {into} to {out}, {kernel}x{kernel}" + (f" stride {stride}" if stride > 1 else "")


def all_cases(batches: tuple[int, ...] = (1, 16)) -> list[Case]:
    """Return every case, the same list in every process."""
    cases = [Case("product", (2048,), "forward", 1)]
    for what in sorted(set(_convolutions()), reverse=True):
        cases += [Case("convolution", what, work, n) for work in ("forward", "forward and backward") for n in batches]
    for name in NETWORKS:
        cases += [Case("network", (name,), work, n) for work in ("inference", "training step") for n in batches]
    return cases


def _convolutions() -> Iterator[tuple[int, ...]]:
    """Yield (size, in, out, kernel, stride, padding) of the networks' convolutions, repeated where they are."""
    for shape in NETWORKS.values():
        stem = shape.stem
        yield PICTURE, 3, stem.width, stem.kernel, stem.stride, (stem.kernel - stem.stride + 1) // 2
        size, channels = PICTURE // stem.stride // (2 if stem.pool else 1), stem.width
        for stage in shape.stages:
            for stride in (stage.stride, *[1] * (stage.blocks - 1)):
                yield size, channels, stage.width, 3, stride, 1
                if shape.shortcut == "projection" and (channels != stage.width or stride > 1):
                    yield size, channels, stage.width, 1, stride, 0
                size, channels = size // stride, stage.width
                yield size, channels, channels, 3, 1, 1

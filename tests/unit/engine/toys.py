"""Small stages and images for the engine's tests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f import Combination, FileBytes, ImageFile, Tiles, WholeImage
from d2f.engine.plan import BoundDetector, Decision, Plan, Step

Pixels = NDArray[np.uint8]


def picture(seed: int, height: int = 48, width: int = 64) -> ImageFile:
    """An image of seeded noise, its digest that of its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image_of(pixels, f"{seed}.png")


def image_of(pixels: Pixels, path: str = "a.png") -> ImageFile:
    """An image of given pixels."""
    data = pixels.tobytes()
    return ImageFile(path, data, hashlib.sha256(data).hexdigest(), "PNG", pixels.shape[1], pixels.shape[0], pixels)


class Whole:
    """A detector on whole views that calls a function on each."""

    name = "whole"
    summary = "toy"
    wants: Any = WholeImage()

    def __init__(self, function: Callable[[Any], Any] = np.mean, thread_safe: bool = False) -> None:
        self.function = function
        self.thread_safe = thread_safe
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def score(self, batch: Sequence[Any]) -> list[Any]:
        self.batches.append(len(batch))
        self.threads.add(threading.current_thread().name)
        return [self.function(one) for one in batch]


class Bytes(Whole):
    """A detector on files."""

    wants = FileBytes()


class Network:
    """A detector that works like a learned one: one matrix product over a batch of tiles, in float32."""

    name = "network"
    summary = "toy"
    thread_safe = False

    def __init__(self, tiles: Tiles) -> None:
        self.wants = tiles
        rng = np.random.default_rng(1)
        self.weights = rng.normal(size=(tiles.size * tiles.size * 3, 8)).astype(np.float32) / 100
        self.shapes: list[tuple[int, ...]] = []

    def score(self, batch: Pixels) -> NDArray[np.float32]:
        self.shapes.append(batch.shape)
        hidden = np.maximum((batch.reshape(len(batch), -1).astype(np.float32) / 255) @ self.weights, 0)
        scores: NDArray[np.float32] = hidden @ np.arange(8, dtype=np.float32)
        return scores


class TileFunction:
    """A detector on tiles that calls a function on each."""

    name = "tile-function"
    summary = "toy"

    def __init__(self, tiles: Tiles, function: Callable[[Pixels], Any]) -> None:
        self.wants = tiles
        self.function = function

    def score(self, batch: Pixels) -> list[Any]:
        return [self.function(tile) for tile in batch]


class Apply:
    """A preprocessor that calls a function of pixels and seed, and counts its calls."""

    name = "apply"
    summary = "toy"

    def __init__(self, function: Callable[[Pixels, int], Any], thread_safe: bool = True) -> None:
        self.function = function
        self.thread_safe = thread_safe
        self.calls = 0
        self.threads: set[str] = set()

    def apply(self, pixels: Pixels, seed: int) -> Any:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        return self.function(pixels, seed)


class Sigmoid:
    """A calibrator: the logistic function of slope * score."""

    name = "sigmoid"
    summary = "toy"

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope

    def probability(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-self.slope * scores))


class Returns:
    """A calibrator, or a combiner, that returns what a function makes of its input."""

    name = "returns"
    summary = "toy"

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.probability = function
        self.combine = function


class SumOfLogits:
    """A combiner: naive Bayes."""

    name = "sum"
    summary = "toy"

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        logits = np.nan_to_num(np.log(probabilities) - np.log1p(-probabilities))
        return Combination(logits.sum(axis=1), logits)


def step(key: str, function: Callable[[Pixels, int], Any], thread_safe: bool = True) -> Step:
    """A step of a view."""
    return Step(key, Apply(function, thread_safe))


def plan_of(
    detectors: dict[str, tuple[Any, Sequence[str]]],
    views: dict[str, tuple[Step, ...]] | None = None,
    decision: Decision | None = None,
) -> Plan:
    """A plan of detectors by id, each with its views."""
    bound = tuple(BoundDetector(name, stage, tuple(names)) for name, (stage, names) in detectors.items())
    return Plan("toy", "digest", {"plain": (), **(views or {})}, bound, decision)

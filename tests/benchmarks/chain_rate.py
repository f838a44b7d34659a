"""Images a second through whole chains, beside the bare forward pass of a known detector in PyTorch.

`python -m tests.benchmarks.chain_rate robust deep` (PyTorch comes with the extra `torch`) makes JPEGs of 512x512
pixels of training pictures (D2F_DATA) and, in turn, round after round, judges them all (reading, decoding, views,
detectors, verdict; timed from the 17th row on, when every worker process has started) and runs NPR's network over as
many tensors that lie ready: ResNet-50 cut after its second stage, 256x256 pixels, 16 at a time, `eval()`,
`inference_mode()`, float32 (Tan et al., "Rethinking the up-sampling operations in CNN-based generative network for
generalizable deepfake detection", arXiv 2312.10461). Where PyTorch spends its time in the kernel (`time` says so), give
it some GiB of MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_, so that it keeps its memory.

`--precision bfloat16` lets detectors that have the choice multiply in it, by PyTorch; without it MLX alone computes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from d2f import Chain, load_chain
from d2f.chain.chain import chain_of
from d2f.chain.write import fitted_text
from d2f.chain.yaml import text_of
from tests.benchmarks.scale import fill

NPR_SIDE = 256
BATCH = 16


class Bottleneck(torch.nn.Module):
    """The three convolutions of ResNet-50's blocks; `stride` sits in the middle one."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.body = torch.nn.Sequential(
            *_unit(channels, width, 1, 1), torch.nn.ReLU(), *_unit(width, width, 3, stride), torch.nn.ReLU(),
            *_unit(width, out, 1, 1),
        )  # fmt: skip
        same = channels == out and stride == 1
        self.shortcut = torch.nn.Identity() if same else torch.nn.Sequential(*_unit(channels, out, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return torch.relu(self.body(x) + self.shortcut(x))


def _unit(channels: int, out: int, side: int, stride: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    convolution = torch.nn.Conv2d(channels, out, side, stride, side // 2, bias=False)
    return convolution, torch.nn.BatchNorm2d(out)


class Npr(torch.nn.Module):
    """NPR's network, its weights at random: time does not depend on them."""

    def __init__(self) -> None:
        super().__init__()
        first = [Bottleneck(64, 64, 1), Bottleneck(256, 64, 1), Bottleneck(256, 64, 1)]
        second = [Bottleneck(256, 128, 2), *(Bottleneck(512, 128, 1) for _ in range(3))]
        self.body = torch.nn.Sequential(
            *_unit(3, 64, 3, 2), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1), *first, *second,
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(512, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the score of pictures less their neighbours' up-sampling."""
        rough = torch.nn.functional.interpolate(x, scale_factor=0.5, mode="nearest")
        residual = x - torch.nn.functional.interpolate(rough, scale_factor=2.0, mode="nearest")
        score: torch.Tensor = self.body(residual * (2.0 / 3.0))
        return score


def main() -> None:
    """Print each one's rate, and the chains' as a multiple of the network's in the same round."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.chain_rate", description=__doc__)
    parser.add_argument("chains", nargs="+")
    parser.add_argument("--images", type=int, default=128, help=f"a multiple of {BATCH}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="processes of a chain; as many as cores by default")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", help="of detectors that have this option, such as bfloat16")
    given = parser.parse_args()
    torch.set_num_threads(given.cores)
    network = Npr().eval()
    batches = [torch.rand(BATCH, 3, NPR_SIDE, NPR_SIDE) for _ in range(given.images // BATCH)]

    def forward() -> float:
        begun = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                network(batch)
        return given.images / (time.perf_counter() - begun)

    with tempfile.TemporaryDirectory() as folder:
        # Drawn pictures would be refused by the chains' preconditions, and cost next to nothing.
        images = str(fill(Path(folder) / "images", given.images, given.images))
        works: dict[str, Callable[[], float]] = {"NPR's network": forward}
        for name in given.chains:
            works[name] = partial(_rate, _chain(name, given.precision), images, given.workers or given.cores)
        rates: dict[str, list[float]] = {name: [] for name in works}
        for number in range(given.rounds + 1):
            for name, work in works.items():
                rate = work()
                if number:  # The first round loads weights.
                    rates[name].append(rate)
    for name, found in rates.items():
        ratios = [one / other for one, other in zip(found, rates["NPR's network"], strict=True)]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        print(f"{name}: {statistics.median(found):.1f} images/s, {middle:.2f}x ({low:.2f}-{high:.2f})")


def _chain(name: str, precision: str | None) -> Chain:
    """Return a chain, its detectors at a precision where they have a choice."""
    chain = load_chain(name)
    if precision is None:
        return chain
    detectors = [one.model_dump(by_alias=True, exclude_unset=True) for one in chain.file.detectors]
    for planned, written in zip(chain.plan.detectors, detectors, strict=True):
        if "precision" in planned.stage.Options.model_fields:
            written["with"] = {**written.get("with", {}), "precision": precision}
    return chain_of(text_of(name, fitted_text(chain.text, {"detectors": detectors})), chain.catalog)


def _rate(chain: Chain, folder: str, workers: int) -> float:
    """Return the images a second of a chain in so many processes."""
    rows = chain.run(folder, workers=workers)
    for _ in islice(rows, BATCH):
        pass
    begun = time.perf_counter()
    count = sum(1 for _ in rows)
    return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()

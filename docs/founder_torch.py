"""Train the network of plugins/d2f_resnet/founder.yaml with PyTorch in bfloat16, which takes a tenth of the time.

    python docs/founder_torch.py founder/founder.safetensors

Run where `founder` lies (`python docs/make_founding.py sources pictures founder`). Recipe, tiles, their balance, the
network, its first weights, optimiser and schedule are those of `d2f train plugins/d2f_resnet/founder.yaml`, which makes
the same file with MLX; drawn batches differ, and rates do not warm up. Each epoch prints its figures and keeps a
checkpoint, from which the same command goes on; the weights of the last one are written, none is chosen. At the end d2f
builds the network, and says how far its answers differ.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from d2f_resnet.network import build_network
from d2f_resnet.trainable import NetworkOptions
from torch import nn
from torch.nn import functional

from d2f.data.dataset import load_dataset
from d2f.models import arrays_of, load_arrays
from d2f.plugins.catalog import Catalog
from d2f.train.folder import run_facts
from d2f.train.read import read_recipe
from d2f.train.tiles import TileCutter, TileSet, make_tiles
from d2f.weights import short_digests, write_weights

RECIPE = Path(__file__).resolve().parents[1] / "plugins" / "d2f_resnet" / "founder.yaml"
BLOCKS = ((16, 1), (32, 2), (64, 2))
"""Channels and stride of the three stages; ResNet-44 has seven blocks in each."""


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.more, self.stride = width - channels, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.more:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return torch.relu(x + y)


class ResNet44(nn.Module):
    """What d2f_resnet builds for ``{depth: 44, stem: early}``, under the same names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        stages, channels = [], 16
        for width, first in BLOCKS:
            blocks = []
            for stride in (first, *[1] * 6):
                blocks.append(Block(channels, width, stride))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n,) of pictures (n, 3, height, width) in [0, 1]."""
        x = self.stages(torch.relu(self.stem_norm(self.stem(x))))
        logits: torch.Tensor = self.head(x.mean((2, 3))).squeeze(-1)
        return logits

    def take(self, arrays: dict[str, Any]) -> None:
        """Load d2f's arrays, whose convolutions are channels last."""
        held = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        state = {name: one.permute(0, 3, 1, 2) if one.ndim == 4 else one for name, one in held.items()}
        self.load_state_dict(state, strict=False)

    def arrays(self) -> dict[str, Any]:
        """Return d2f's arrays."""
        held = {
            name: one.detach().float().numpy() for name, one in self.state_dict().items() if "num_batches" not in name
        }
        return {
            name: np.ascontiguousarray(one.transpose(0, 2, 3, 1) if one.ndim == 4 else one)
            for name, one in held.items()
        }


def pictures(tiles: TileSet, numbers: Any, flips: Any = None) -> torch.Tensor:
    """Return tiles as (n, 3, side, side) in [0, 1], channels last in memory."""
    read = np.stack([tiles.tile(int(number)) for number in numbers])
    x = torch.from_numpy(read).permute(0, 3, 1, 2).float().div_(255)
    if flips is not None:
        x[flips] = x[flips].flip(3)
    return x.to(memory_format=torch.channels_last)


def logits_of(network: ResNet44, tiles: TileSet) -> Any:
    """Return the mean logit of each image that has tiles, and its label."""
    network.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        parts = np.array_split(np.arange(len(tiles.image)), -(-len(tiles.image) // 32))
        found = np.concatenate([network(pictures(tiles, part)).float().numpy() for part in parts])
    network.train()
    owners = np.unique(tiles.image)
    means = np.array([found[tiles.image == owner].mean() for owner in owners])
    return means, tiles.dataset.labels[owners]


def right(network: ResNet44, tiles: TileSet) -> str:
    """Return the shares of photographs and of generated images on the right side of even odds."""
    means, labels = logits_of(network, tiles)
    return f"{(means[labels == 0] <= 0).mean():.3f} / {(means[labels == 1] > 0).mean():.3f}"


def train(output: Path) -> None:
    """Train, and write the weights of the last epoch."""
    recipe: Any = read_recipe(RECIPE, Catalog.discover())
    epochs: int = recipe.epochs
    sets = {}
    for name, path in (("training", recipe.data.folder), ("validation", recipe.data.validation)):
        cutter = TileCutter(recipe, name == "training")
        sets[name] = make_tiles(load_dataset(path), cutter, output.with_suffix(f".{name}.tiles"), 1, lambda *_: None)
    training = sets["training"]
    print(f"{len(training.image)} tiles of {len(training.dataset)} images", flush=True)
    mx.random.seed(recipe.seed)
    network = ResNet44()
    built = build_network(NetworkOptions.model_validate(recipe.with_))
    network.take(arrays_of(built))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rule = recipe.optimiser
    optimiser = torch.optim.SGD(network.parameters(), rule.rate, rule.momentum, weight_decay=rule.decay)
    each, half = recipe.balance.tiles // recipe.batch, recipe.balance.tiles // 2
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / epochs / each)
    )
    kept, begun, first = output.with_suffix(".checkpoint"), time.perf_counter(), 0
    if kept.exists():
        held = torch.load(kept)
        network.load_state_dict(held["network"])
        optimiser.load_state_dict(held["optimiser"])
        first = held["epoch"]
        schedule.last_epoch = first * each
    labels = training.labels
    by_label = [np.flatnonzero(labels == label) for label in (0, 1)]
    for epoch in range(first, epochs):
        random, loss, correct = np.random.default_rng((recipe.seed, epoch)), 0.0, 0
        drawn = [random.choice(some, half, len(some) < half) for some in by_label]
        order = random.permutation(np.concatenate(drawn))
        for part in order.reshape(each, recipe.batch):
            y = torch.from_numpy(labels[part].astype(np.float32))
            with torch.autocast("cpu", torch.bfloat16):
                found = network(pictures(training, part, random.random(len(part)) < 0.5))
            error = functional.binary_cross_entropy_with_logits(found.float(), y)
            optimiser.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            loss += error.item() / each
            correct += int(((found > 0) == (y > 0)).sum())
        seconds = time.perf_counter() - begun
        line = f"epoch {epoch + 1}: loss {loss:.3f}, tiles right in training {correct / len(order):.3f}"
        line += f", photographs / generated of the same sources right {right(network, sets['validation'])}"
        print(f"{line}, {seconds:.0f} s", flush=True)
        torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1}, kept)
    facts = run_facts(recipe, training.dataset, training.digests) | {
        "tile": str(recipe.tiles.size),
        "epoch": str(epochs),
    }
    print(f"training images right {right(network, training)}")
    print(f"d2f's answers differ from PyTorch's by {agreed(network, training):.1e} at most")
    print(write_weights(output, network.arrays(), facts, short_digests(training.digests)))


def agreed(network: ResNet44, tiles: TileSet) -> float:
    """Return the largest difference of d2f's logits and PyTorch's, both in float32, on 64 tiles."""
    built = build_network(NetworkOptions(depth=44, stem="early"))
    load_arrays(built, network.arrays(), "founder")
    built.eval()
    network.eval()
    numbers = np.linspace(0, len(tiles.image) - 1, 64).astype(int)
    with torch.inference_mode():
        theirs = network(pictures(tiles, numbers)).numpy()
    ours = np.array(built(mx.array(np.stack([tiles.tile(int(one)) for one in numbers])).astype(mx.float32) / 255))
    return float(np.abs(ours - theirs).max())


def main() -> int:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="weights file to write")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    train(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

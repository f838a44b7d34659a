"""Train a recipe of `resnet` with PyTorch in bfloat16, which takes a tenth of the time where the processor has it.

    python docs/resnet_torch.py plugins/d2f_resnet/founder.yaml -o founder/founder.safetensors
    python docs/resnet_torch.py plugins/d2f_resnet/whole.yaml --data $D2F_DATA/train -o whole.safetensors

Images, tiles, their balance and augmentations, the network, its first weights, SGD and its rates are those of
`d2f train` with the same recipe; other optimisers, losses and networks are refused. Unlike `d2f train`, which keeps
the best epoch, it writes the weights of the last. Each epoch prints its figures and keeps a checkpoint, from which the
same command goes on. At the end d2f builds the network, and says how far its answers differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from d2f_resnet.network import build_network
from d2f_resnet.trainable import FAMILIES, NetworkOptions
from torch import nn
from torch.nn import functional

from d2f.api.errors import D2FError
from d2f.models import arrays_of, load_arrays
from d2f.plugins.catalog import Catalog
from d2f.train.augment import Augmenter
from d2f.train.folder import run_facts
from d2f.train.images import divide
from d2f.train.read import read_recipe
from d2f.train.stepping import LearningRates
from d2f.train.tiles import TileCutter, TileSet, epoch_order, make_tiles, tile_weights
from d2f.weights import WeightsFile, read_weights, resolve, short_digests, write_weights

STAGES = ((16, 1), (32, 2), (64, 2))
"""Channels and stride."""


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


class ResNet(nn.Module):
    """What d2f_resnet builds of CIFAR style, under the same names."""

    def __init__(self, depth: int, stem: str) -> None:
        super().__init__()
        kernel, stride, margin = (4, 4, 0) if stem == "early" else (3, 1, 1)
        self.stem = nn.Conv2d(3, 16, kernel, stride, margin, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        stages, channels = [], 16
        for width, first in STAGES:
            blocks = []
            for stride in (first, *[1] * ((depth - 2) // 6 - 1)):
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
        lacking, unknown = self.load_state_dict(state, strict=False)
        if unknown or [name for name in lacking if "num_batches" not in name]:
            raise D2FError.of("D2F504", f"the network does not take these arrays: {[*lacking, *unknown][:4]}")

    def arrays(self) -> dict[str, Any]:
        """Return d2f's arrays."""
        held = {
            name: one.detach().float().numpy() for name, one in self.state_dict().items() if "num_batches" not in name
        }
        return {
            name: np.ascontiguousarray(one.transpose(0, 2, 3, 1) if one.ndim == 4 else one)
            for name, one in held.items()
        }


def inputs(pixels: Any) -> torch.Tensor:
    """Return tiles (n, side, side, 3), uint8, as the network takes them, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).to(memory_format=torch.channels_last)


def tiles_of(tiles: TileSet, numbers: Any) -> Any:
    """Return tiles as they were cut, (n, side, side, 3)."""
    return np.stack([tiles.tile(int(number)) for number in numbers])


def right(network: ResNet, tiles: TileSet) -> str:
    """Return the shares of photographs and of generated images whose mean logit is on the right side of even odds."""
    network.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        parts = np.array_split(np.arange(len(tiles)), -(-len(tiles) // 32))
        found = np.concatenate([network(inputs(tiles_of(tiles, part))).float().numpy() for part in parts])
    network.train()
    owners = np.unique(tiles.image)
    means, labels = np.array([found[tiles.image == owner].mean() for owner in owners]), tiles.dataset.labels[owners]
    return f"{(means[labels == 0] <= 0).mean():.3f} / {(means[labels == 1] > 0).mean():.3f}"


def started(recipe: Any, options: NetworkOptions, catalog: Catalog) -> tuple[Any, WeightsFile | None]:
    """Return d2f's network, with the weights that a recipe starts from."""
    mx.random.seed(recipe.seed)
    network, held = build_network(options), None
    if recipe.start is not None:
        held = read_weights(resolve(recipe.start.weights, catalog.weights))
        load_arrays(network, dict(held.arrays), recipe.start.weights)
    return network, held


def known_options(recipe: Any) -> NetworkOptions:
    """Return the network's options; D2F606 for what `d2f train` alone does."""
    if recipe.train != "resnet":
        raise D2FError.of("D2F606", f"this script trains `resnet`, not `{recipe.train}`", "d2f train does")
    options = NetworkOptions.model_validate(recipe.with_)
    plain = options.residual and options.logits == 1 and options.normalise is None
    alone = {
        "with": options.depth not in FAMILIES[0] or not plain,
        "optimiser": recipe.optimiser.use != "sgd" or recipe.optimiser.clip is not None,
        "schedule": recipe.schedule.use == "plateau",
        "loss": recipe.loss.smoothing != 0 or recipe.loss.class_weights is not None,
        "balance": recipe.balance.tiles is None or recipe.balance.by == "weights",
        "accumulate": recipe.accumulate != 1,
        "start": recipe.start is not None and (recipe.start.freeze is not None or recipe.start.publisher != "d2f"),
    }
    if wrong := [key for key, is_wrong in alone.items() if is_wrong]:
        raise D2FError.of("D2F606", f"this script does not know the recipe's {', '.join(wrong)}", "d2f train does")
    return options


def train(recipe: Any, catalog: Catalog, data: str | None, output: Path) -> None:
    """Train, and write the weights of the last epoch."""
    options, parts, sets = known_options(recipe), divide(recipe, data), {}
    for name, images in (("training", parts.training), ("validation", parts.validation)):
        cutter = TileCutter(recipe, name == "training")
        sets[name] = make_tiles(images, cutter, output.with_suffix(f".{name}.tiles"), 1, lambda *_: None)
    training, labels = sets["training"], sets["training"].labels
    print(f"{len(training)} tiles of {len(training.dataset)} images", flush=True)
    first_network, held_start = started(recipe, options, catalog)
    network = ResNet(options.depth, options.stem)
    network.take(arrays_of(first_network))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rule, each = recipe.optimiser, recipe.balance.tiles // recipe.batch
    optimiser = torch.optim.SGD(
        network.parameters(), rule.rate, rule.momentum, weight_decay=rule.decay, nesterov=rule.nesterov
    )
    rates = LearningRates(recipe.schedule, rule.rate, each, recipe.epochs)
    augmented = Augmenter.of(recipe.augment, recipe.tiles.size, recipe.seed, catalog)
    drawing = tile_weights(training, recipe.balance.sources)
    facts = run_facts(recipe, training.dataset, training.digests) | {"tile": str(recipe.tiles.size)}
    trained_on = short_digests(training.digests)
    if held_start is not None:
        facts["start"] = held_start.sha256
        if held_start.trained_on is not None:
            trained_on = np.union1d(trained_on, held_start.trained_on)
    kept, begun, first = output.with_suffix(".checkpoint"), time.perf_counter(), 0
    if kept.exists():
        held = torch.load(kept)
        if held.get("facts") != facts:
            raise D2FError.of(
                "D2F004", f"'{kept}' is of another recipe or other images", "choose another place with -o"
            )
        network.load_state_dict(held["network"])
        optimiser.load_state_dict(held["optimiser"])
        first = held["epoch"]
    for epoch in range(first, recipe.epochs):
        loss, correct = 0.0, 0
        order = epoch_order(labels, drawing, recipe.balance, recipe.seed, epoch)[: each * recipe.batch]
        for update, part in enumerate(order.reshape(each, recipe.batch)):
            places = range(update * recipe.batch, (update + 1) * recipe.batch)
            pixels = [augmented(training.tile(int(n)), int(n), epoch, at) for n, at in zip(part, places, strict=True)]
            y = torch.from_numpy(labels[part].astype(np.float32))
            with torch.autocast("cpu", torch.bfloat16):
                found = network(inputs(np.stack(pixels)))
            error = functional.binary_cross_entropy_with_logits(found.float(), y)
            for group in optimiser.param_groups:
                group["lr"] = rates.rate(epoch * each + update)
            optimiser.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss += error.item() / each
            correct += int(((found > 0) == (y > 0)).sum())
        line = f"epoch {epoch + 1}: loss {loss:.3f}, tiles right in training {correct / len(order):.3f}"
        line += f", photographs / generated that validate right {right(network, sets['validation'])}"
        print(f"{line}, {time.perf_counter() - begun:.0f} s", flush=True)
        state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1}
        torch.save({**state, "facts": facts}, kept)
    if recipe.tiles.margin == 0:
        print(f"training images right {right(network, training)}")
    print(f"d2f's answers differ from PyTorch's by {agreed(network, options, sets['validation']):.1e} at most")
    print(write_weights(output, network.arrays(), facts | {"epoch": str(recipe.epochs)}, trained_on))


def agreed(network: ResNet, options: NetworkOptions, tiles: TileSet) -> float:
    """Return the largest difference of d2f's logits and PyTorch's, both in float32, on 64 tiles."""
    built = build_network(options)
    load_arrays(built, network.arrays(), "trained")
    built.eval()
    network.eval()
    pixels = tiles_of(tiles, np.linspace(0, len(tiles) - 1, 64).astype(int))
    with torch.inference_mode():
        theirs = network(inputs(pixels)).numpy()
    return float(np.abs(np.array(built(mx.array(pixels).astype(mx.float32) / 255)) - theirs).max())


def main() -> int:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", help="folder or manifest of labelled images, if the recipe names none")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights file to write")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    catalog = Catalog.discover()
    try:
        train(read_recipe(given.recipe, catalog), catalog, given.data, given.output)
    except D2FError as error:
        print(error, file=sys.stderr)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())

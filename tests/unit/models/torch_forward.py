"""The networks' forward passes with PyTorch's functions, and the outputs that the tests hold.

Run ``python -m tests.unit.models.torch_forward`` to write outputs.json again; it needs PyTorch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tests.unit.models.cases import CASES, Case
from tests.unit.models.seeded import pictures
from tests.unit.models.state_dicts import VGG_LAYERS

State = Mapping[str, Tensor]


def forward(case: Case) -> Any:
    """Return PyTorch's logits of a case, as a NumPy array."""
    state = {name: torch.from_numpy(array.copy()) for name, array in case.state().items()}
    x = torch.from_numpy(pictures(case.name, case.shape))
    kind, _, depth = case.name.removeprefix("thin-").removesuffix("-bn").rpartition("-")
    with torch.no_grad():
        if case.name == "small-vgg":
            return small_vgg(x, state).numpy()
        if kind == "vgg":
            return vgg(x, state, int(depth)).numpy()
        if "layer4.0.conv1.weight" in state:
            return imagenet_resnet(x, state).numpy()
        return cifar_resnet(x, state, int(depth), kind == "plain").numpy()


def norm(x: Tensor, state: State, name: str) -> Tensor:
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def linear(x: Tensor, state: State, name: str) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def imagenet_resnet(x: Tensor, state: State) -> Tensor:
    x = F.relu(norm(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), state, "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    for name in sorted({match[1] for key in state if (match := re.match(r"(layer\d\.\d+)\.", key))}):
        stride = 2 if name in ("layer2.0", "layer3.0", "layer4.0") else 1
        first, *others = ([stride, 1], [1, stride, 1])[f"{name}.conv3.weight" in state]
        y = x
        for index, step in enumerate((first, *others), 1):
            weight = state[f"{name}.conv{index}.weight"]
            y = norm(F.conv2d(y, weight, stride=step, padding=weight.shape[2] // 2), state, f"{name}.bn{index}")
            y = F.relu(y) if index <= len(others) else y
        if f"{name}.downsample.0.weight" in state:
            x = norm(F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride), state, f"{name}.downsample.1")
        x = F.relu(x + y)
    return linear(F.adaptive_avg_pool2d(x, 1).flatten(1), state, "fc")


def cifar_resnet(x: Tensor, state: State, depth: int, plain: bool) -> Tensor:
    x = F.relu(norm(F.conv2d(x, state["stem.weight"], padding=1), state, "stem_norm"))
    for stage in range(3):
        for block in range((depth - 2) // 6):
            name, stride = f"stages.{stage}.{block}", 2 if stage and not block else 1
            y = F.relu(
                norm(F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1), state, f"{name}.norm1")
            )
            y = norm(F.conv2d(y, state[f"{name}.conv2.weight"], padding=1), state, f"{name}.norm2")
            x = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            x = F.relu(y if plain else x + y)
    return linear(F.adaptive_avg_pool2d(x, 1).flatten(1), state, "head")


def vgg(x: Tensor, state: State, depth: int) -> Tensor:
    at, normed = 0, "features.1.running_mean" in state
    for word in VGG_LAYERS[depth].split():
        if word == "M":
            x, at = F.max_pool2d(x, 2, 2), at + 1
            continue
        x = F.conv2d(x, state[f"features.{at}.weight"], state[f"features.{at}.bias"], padding=1)
        x = F.relu(norm(x, state, f"features.{at + 1}") if normed else x)
        at += 3 if normed else 2
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    x = F.relu(linear(F.relu(linear(x, state, "classifier.0")), state, "classifier.3"))
    return linear(x, state, "classifier.6")


def small_vgg(x: Tensor, state: State) -> Tensor:
    for block in range(3):
        for index in range(2):
            name = f"blocks.{block}.{index}"
            x = F.conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], padding=1)
            x = F.relu(norm(x, state, f"{name}.norm"))
        x = F.max_pool2d(x, 4, ceil_mode=True)
    x = x.flatten(1)
    for index in range(2):
        x = F.relu(norm(linear(x, state, f"hidden.{index}.linear"), state, f"hidden.{index}.norm"))
    return linear(x, state, "head")


if __name__ == "__main__":
    found = {case.name: [[round(float(v), 6) for v in row[:5]] for row in forward(case)] for case in CASES}
    lines = ",\n".join(f'  "{name}": {json.dumps(rows)}' for name, rows in found.items())
    Path(__file__).with_name("outputs.json").write_text(f"{{\n{lines}\n}}\n", "utf-8")

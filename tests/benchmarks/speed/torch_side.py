"""The cases in PyTorch, as its users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tests.benchmarks.speed.cases import NETWORKS, Case
from tests.benchmarks.speed.numbers import draw, map_and_weight, parameter, pictures
from tests.torch_networks import TorchResNet, load_parameters


def build(case: Case) -> tuple[Callable[[], Any], Callable[[Any], list[np.ndarray]]]:
    """Return the work, and what makes numpy arrays (in MLX's order of axes) of its result."""
    made = {
        ("product", "forward"): _product,
        ("convolution", "forward"): _convolution,
        ("convolution", "forward and backward"): _convolution_and_gradients,
        ("network", "inference"): _inference,
        ("network", "training step"): _training_step,
    }[case.kind, case.work](case)
    return made, lambda result: [_channels_last(array.detach()) for array in result]


def channels_first(array: np.ndarray) -> torch.Tensor:
    """Return an array (n, height, width, channels) as PyTorch wants it."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def _channels_last(tensor: torch.Tensor) -> np.ndarray:
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).contiguous().numpy()


def _product(case: Case) -> Callable[[], Any]:
    left, right = (torch.from_numpy(draw(name, (case.what[0],) * 2)) for name in ("left", "right"))
    return lambda: [left @ right]


def _convolution(case: Case) -> Callable[[], Any]:
    x, weight = (channels_first(array) for array in map_and_weight(case))
    *_, stride, margin = case.what

    def work() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [functional.conv2d(x, weight, None, stride, margin)]

    return work


def _convolution_and_gradients(case: Case) -> Callable[[], Any]:
    x, weight = (channels_first(array) for array in map_and_weight(case))
    *_, stride, margin = case.what
    wanted = [weight, x] if x.shape[1] > 3 else [weight]
    for tensor in wanted:
        tensor.requires_grad_()
    size = (x.shape[2] + 2 * margin - weight.shape[2]) // stride + 1
    cotangent = channels_first(draw("cotangent", (x.shape[0], size, size, weight.shape[0])))

    def work() -> list[torch.Tensor]:
        y = functional.conv2d(x, weight, None, stride, margin)
        return [y, *torch.autograd.grad(y, wanted, cotangent)]

    return work


def _network(case: Case) -> tuple[TorchResNet, torch.Tensor]:
    network = TorchResNet(NETWORKS[case.what[0]])
    load_parameters(network, parameter)
    return network, channels_first(pictures(case))


def _inference(case: Case) -> Callable[[], Any]:
    network, x = _network(case)
    network.eval()

    def work() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [network(x)]

    return work


def _training_step(case: Case) -> Callable[[], Any]:
    network, x = _network(case)
    network.train()
    labels = (torch.arange(case.batch) % 2).float()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def work() -> list[torch.Tensor]:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(network(x), labels)
        loss.backward()
        optimizer.step()
        return [loss, network.head.weight]

    return work

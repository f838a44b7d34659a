"""The cases in PyTorch, as its users write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tests.benchmarks.speed.cases import Case, network_of
from tests.benchmarks.speed.networks import fresh
from tests.benchmarks.speed.numbers import draw, map_and_weight, pictures
from tests.benchmarks.speed.twins import twin

Work = Callable[[], list[torch.Tensor]]


def build(case: Case) -> tuple[Work, Callable[[Any], list[np.ndarray]]]:
    """Return the work, and what makes numpy arrays (in MLX's order of axes) of its result."""
    made = {
        ("product", "forward"): _product,
        ("precision", "forward"): _precision,
        ("convolution", "forward"): _convolution,
        ("convolution", "forward and backward"): _convolution_and_gradients,
        ("network", "inference"): _inference,
        ("network", "training step"): _training_step,
    }[case.kind, case.work](case)
    return made, lambda result: [_channels_last(tensor.detach().float()) for tensor in result]


def exact(case: Case) -> list[np.ndarray]:
    """Return the result of a case of kind ``precision`` in float64."""
    work, as_numpy = build(replace(case, what=("float64", *case.what[1:])))
    return as_numpy(work())


def channels_first(array: np.ndarray) -> torch.Tensor:
    """Return an array (n, height, width, channels) as PyTorch wants it."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def _channels_last(tensor: torch.Tensor) -> np.ndarray:
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).contiguous().numpy()


def _product(case: Case, kind: torch.dtype = torch.float32) -> Work:
    left, right = (torch.from_numpy(draw(name, (case.what[-1],) * 2)).to(kind) for name in ("left", "right"))
    return lambda: [left @ right]


def _precision(case: Case) -> Work:
    kind = getattr(torch, case.what[0])
    return _product(case, kind) if len(case.what) == 2 else _convolution(case, kind)


def _convolution(case: Case, kind: torch.dtype = torch.float32) -> Work:
    shape = case.what[-6:]
    x, weight = (channels_first(array).to(kind) for array in map_and_weight(shape, case.batch))
    *_, stride, margin = shape

    def work() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [functional.conv2d(x, weight, None, stride, margin)]

    return work


def _convolution_and_gradients(case: Case) -> Work:
    x, weight = (channels_first(array) for array in map_and_weight(case.what, case.batch))
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


def _network(case: Case) -> tuple[torch.nn.Module, torch.Tensor]:
    return twin(fresh(network_of(case))), channels_first(pictures(case))


def _inference(case: Case) -> Work:
    network, x = _network(case)
    network.eval()

    def work() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [network(x)]

    return work


def _training_step(case: Case) -> Work:
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

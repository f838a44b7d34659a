"""Writes the checkpoints beside it with PyTorch: run it as a script, in this folder."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch.nn import BatchNorm2d, Conv2d, Parameter, Sequential

STATE = OrderedDict(
    plain=torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    turned=torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
    double=torch.tensor([0.1, -2.5], dtype=torch.float64),
    half=torch.tensor([1.5, -0.25], dtype=torch.float16),
    brain=torch.tensor([1.0, -3.0, 0.15625], dtype=torch.bfloat16),
    counter=torch.tensor(7),
    mask=torch.tensor([True, False, True]),
    nothing=torch.zeros(0, 3),
    parameter=Parameter(torch.tensor([2.0, 3.0])),
)

if __name__ == "__main__":
    network = Sequential(Conv2d(3, 2, 3), BatchNorm2d(2))
    torch.save(STATE, "zip.pth")
    torch.save(STATE, "zip-protocol-4.pth", pickle_protocol=4)
    torch.save(STATE, "row.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "lr": 0.5, "model": STATE, "none": [None, (1, 2)]}, "wrapped.pth")
    torch.save(network, "whole-network.pth")

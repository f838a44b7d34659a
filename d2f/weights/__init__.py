"""Weights files found by name, checked by digest, read strictly. No pickle is ever loaded.

Nothing is fetched, but by `d2f.weights.fetch` on request.
"""

from __future__ import annotations

from d2f.weights.file import WeightsFile, checked_bytes, read_weights, short_digests, strict, write_weights
from d2f.weights.hdf5_file import read_hdf5
from d2f.weights.onnx_file import OnnxFile, OnnxNode, check_onnx, read_onnx
from d2f.weights.sources import as_record, cache_folder, resolve
from d2f.weights.torch_file import read_torch
from d2f.weights.verify import SelfTest

__all__ = [
    "OnnxFile",
    "OnnxNode",
    "SelfTest",
    "WeightsFile",
    "as_record",
    "cache_folder",
    "check_onnx",
    "checked_bytes",
    "read_hdf5",
    "read_onnx",
    "read_torch",
    "read_weights",
    "resolve",
    "short_digests",
    "strict",
    "write_weights",
]

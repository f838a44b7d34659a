"""A batch over all cores gives the network's results, in order, and the process ends cleanly."""

from __future__ import annotations

import sys
import threading
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from d2f.layers import Conv2d, parallel
from d2f.mlx_cpu import parallel as parallel_module
from d2f.mlx_cpu import parallel as streams_module
from tests.unit.mlx_cpu.nearness import assert_near
from tests.unit.mlx_cpu.processes import run_python


@pytest.fixture
def three_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = (mx.default_stream(mx.cpu), mx.new_stream(mx.cpu), mx.new_stream(mx.cpu))
    monkeypatch.setattr(parallel_module, "streams", lambda: lanes)
    monkeypatch.setattr(parallel_module, "on_this_cpu", lambda: True)


@pytest.mark.usefixtures("three_streams")
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("images", [1, 3, 8])
def test_results_are_the_networks(batch: int, images: int) -> None:
    layer = Conv2d(3, 20, 3, padding=1).eval()
    x = mx.array(np.random.default_rng(0).standard_normal((batch, 9, 8, 3)).astype(np.float32))
    assert_near(parallel(layer, x, images), layer(x))


@pytest.mark.usefixtures("three_streams")
def test_every_stream_is_used() -> None:
    seen: list[Any] = []

    def network(x: Any) -> Any:
        seen.append((str(mx.default_stream(mx.cpu)), x.shape[0]))
        return x * 2

    assert parallel(network, mx.arange(10), images=2).tolist() == [2 * k for k in range(10)]
    assert [images for _, images in seen] == [1, 2, 2, 1, 2, 2]
    assert len({stream for stream, _ in seen}) == 3


def test_an_empty_batch_is_given_to_the_network_as_it_is() -> None:
    assert parallel(lambda x: x + 1, mx.zeros((0, 3))).shape == (0, 3)


def test_on_another_device_the_batch_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_module, "on_this_cpu", lambda: False)
    sizes: list[int] = []
    parallel(lambda x: sizes.append(x.shape[0]) or x, mx.zeros((33, 2)))
    assert sizes == [33]


def test_streams_are_as_many_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "SECONDS_KEPT", 0.0)
    for cores in (1, 3, 2):
        monkeypatch.setattr(streams_module, "usable_cores", lambda cores=cores: cores)
        assert len(streams_module.streams()) == cores
        assert len({str(stream) for stream in streams_module.streams()}) == cores


def test_quotas_are_not_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(streams_module, "usable_cores", lambda: asked.append(1) or 2)
    monkeypatch.setattr(streams_module, "SECONDS_KEPT", 3600.0)
    monkeypatch.setattr(streams_module, "_known", (-7200.0, 1))
    assert [len(streams_module.streams()) for _ in range(3)] == [2, 2, 2]
    assert len(asked) == 1


def test_another_thread_has_its_own_stream_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "usable_cores", lambda: 4)
    counts: list[int] = []
    thread = threading.Thread(target=lambda: counts.append(len(streams_module.streams())))
    thread.start()
    thread.join()
    assert counts == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="streams of a Linux CPU")
def test_processes_end_cleanly() -> None:
    code = """
import threading
import d2f, mlx.core as mx, mlx.nn as nn
from d2f.mlx_cpu import parallel as module
module.usable_cores = lambda: 3
from d2f.layers import Conv2d, join, parallel, split
layer, x = Conv2d(3, 20, 3, padding=1), mx.random.normal((7, 12, 12, 3))
parallel(layer, x, images=1)
mx.eval(nn.value_and_grad(layer, lambda model, x: join(model(split(x))).sum())(layer, x))
thread = threading.Thread(target=lambda: parallel(layer, mx.zeros((3, 12, 12, 3))))
thread.start(); thread.join()
mx.async_eval(layer(x))  # Under way when the process ends.
"""
    codes = [run_python(code).returncode for _ in range(20)]
    assert codes == [0] * 20

"""The queue before the worker processes."""

from __future__ import annotations

from d2f import load_chain
from d2f.serve.batching import Batcher
from d2f.serve.settings import Limits
from d2f.serve.uploads import Upload


def test_a_picture_that_nobody_waits_for_leaves_the_queue_at_once() -> None:
    batcher = Batcher(load_chain("fast"), Limits(queue=1), workers=1)  # not started: what is submitted waits
    for _ in range(3):
        one = batcher.submit(Upload("a.png", b"bytes"))
        assert batcher.waiting == 1
        assert one.cancel()
        assert batcher.waiting == 0
    batcher.close()

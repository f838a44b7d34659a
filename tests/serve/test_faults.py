"""What hostile files, slow clients and broken stages get, and that nobody else pays for it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.distributions import Distributions, installed
from tests.serve.serving import Running, everything, form, serving
from tests.serve.test_api import encoded

distributions = pytest.fixture(installed)

PLUGIN = """
    import os
    import time

    import d2f
    import d2f.serve.batching as batching

    load = batching.load

    def hostile(image, bounds):
        if image.content == b"die":
            os._exit(3)
        while image.content == b"hang":
            pass
        return load(image, bounds)

    batching.load = hostile

    class Nasty:
        name = "nasty"
        summary = "Does what a picture's first byte says."
        Options = d2f.NoOptions
        wants = d2f.WholeImage()

        def __init__(self, options):
            pass

        def score(self, batch):
            for pixels in batch:
                if pixels[0, 0, 0] == 1:
                    while True:
                        pass
                if pixels[0, 0, 0] == 2:
                    os._exit(3)
                if pixels[0, 0, 0] == 3:
                    time.sleep(0.6)
            return [float(pixels[0, 0, 1]) / 255 for pixels in batch]

    @d2f.hookimpl
    def d2f_detectors():
        return [Nasty]
    """
CHAIN = """\
d2f: 1
name: nasty
detectors: [{use: nasty}]
calibrate: {nasty/plain: {use: platt, with: {slope: 1.0, bias: 0.0}}}
"""
HANGS, DIES, SLEEPS = 1, 2, 3


def picture(first: int, green: int = 200) -> bytes:
    """Return a picture that the stage is told what to do by."""
    return encoded(np.full((16, 16, 3), (first, green, 0), np.uint8))


GOOD = picture(0)


@pytest.fixture
def start(
    distributions: Distributions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Running]]:
    """Return what starts a server of the nasty chain."""
    from contextlib import ExitStack

    distributions.add_plugin("nasty", PLUGIN)
    chain = tmp_path / "nasty.yaml"
    chain.write_text(CHAIN, "utf-8")
    with ExitStack() as stack:
        yield lambda limits=None, **settings: stack.enter_context(serving(chain, limits, **settings))


def test_a_worker_that_is_killed_costs_nobody_anything(start: Callable[..., Running]) -> None:
    running = start()
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(running.judge, picture(SLEEPS)) for _ in range(3)]
        time.sleep(0.3)
        os.kill(running.server.batcher.processes[0], signal.SIGKILL)
        rows = [one.result().rows[0] for one in asked]
    assert {row["verdict"] for row in rows} == {"generated"}
    assert running.server.batcher.replaced == 1
    os.kill(running.server.batcher.processes[0], signal.SIGKILL)  # an idle one
    assert running.judge(GOOD).rows[0]["verdict"] == "generated"
    assert running.ask("GET", "/readyz").status == 200


def test_hostile_files_cost_their_own_rows(start: Callable[..., Running]) -> None:
    running = start({"stage_seconds": 0.5}, workers=2)
    with ThreadPoolExecutor(8) as threads:
        good = [threads.submit(running.judge, GOOD) for _ in range(4)]
        died, hung = threads.submit(running.judge, b"die"), threads.submit(running.judge, b"hang")
        stage_died, stage_hung = (threads.submit(running.judge, picture(what)) for what in (DIES, HANGS))
        assert {(one.result().status, one.result().rows[0]["verdict"]) for one in good} == {(200, "generated")}
        assert (died.result().status, died.result().code) == (422, "D2F411")
        assert (hung.result().status, hung.result().code) == (504, "D2F410")
        assert "the decoder" in hung.result().rows[0]["error"]["message"]
        for one, code in ((stage_died, "D2F411"), (stage_hung, "D2F410")):
            (row,) = one.result().rows
            assert (one.result().status, row["verdict"]) == (200, "inconclusive")
            assert row["missing"][0]["reason"].startswith(code)
    # However often: the decoder is never switched off.
    assert [running.judge(b"die").code for _ in range(3)] == ["D2F411"] * 3
    assert running.judge(GOOD).rows[0]["verdict"] == "generated"


def test_an_answer_that_takes_too_long_is_given_up_and_the_queue_is_bounded(start: Callable[..., Running]) -> None:
    running = start({"seconds": 0.4, "queue": 2})
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(running.judge, picture(SLEEPS)) for _ in range(6)]
        found = sorted((one.result().status, one.result().code) for one in asked)
    # One is judged and two wait; where the judge has not begun yet when the others come, it counts as waiting.
    refused = found.count((503, "D2F706"))
    assert refused in (3, 4)
    assert found == [(503, "D2F706")] * refused + [(504, "D2F707")] * (6 - refused)
    time.sleep(0.5)
    assert running.judge(GOOD).status == 200


def test_whoever_closes_its_half_is_taken_to_have_gone(start: Callable[..., Running]) -> None:
    running = start()
    head = b"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: "
    with running.connected() as one, running.connected() as other:
        body = picture(SLEEPS)
        for connection in (one, other):
            connection.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        time.sleep(0.2)
        other.shutdown(socket.SHUT_WR)
        assert everything(other) == b""
        one.settimeout(30)
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
    assert running.server.batcher.waiting == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: loc", b""),
        (b"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx", b"HTTP/1.1 408"),
        (b"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", b"HTTP/1.1 413"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + bytes([97]) * 100_000, b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 400"),
    ],
)
def test_slow_and_broken_requests_are_ended(hasty: Running, sent: bytes, status: bytes) -> None:
    with hasty.connected() as connection:
        connection.sendall(sent)
        assert everything(connection)[:12] == status
    assert hasty.ask("GET", "/healthz").status == 200


def test_connections_are_bounded_and_the_answer_is_as_every_other() -> None:
    with serving(limits={"connections": 2}) as running, running.connected(), running.connected():
        answer = running.ask("GET", "/healthz")
        assert (answer.status, answer.code) == (503, "D2F706")
        assert answer.headers["x-frame-options"] == "DENY"


def test_no_address_is_fetched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere, serving(root=tmp_path) as running:
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/a.png"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/></svg>'
        for body in (address, svg, f'<!doctype html><img src="{address}">'):
            assert running.judge(body.encode(), address).status == 415
        folder = running.ask(
            "POST", "/v1/jobs", json.dumps({"folder": address}).encode(), {"content-type": "application/json"}
        )
        assert folder.status == 404
        (tmp_path / "list").mkdir()
        (tmp_path / "list" / "images.txt").write_text(address)
        begun = running.ask("POST", "/v1/jobs", b'{"folder": "list"}', {"content-type": "application/json"}).json
        assert running.ask("GET", f"/v1/jobs/{begun['id']}/events").status == 200
        elsewhere.settimeout(0.2)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_wrong_tokens_are_bounded() -> None:
    with serving(token="a token of this test") as running:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        found = [running.ask("POST", "/signin", b"token=another", kind).status for _ in range(11)]
        assert found == [401] * 10 + [429]
        assert running.ask("POST", "/signin", b"token=a+token+of+this+test", kind).code == "D2F705"


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    with serving(limits={"idle_seconds": 0.3}) as running:
        yield running


def test_uploads_touch_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving() as running:
        seen: set[str] = set()
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.002):
                seen.update(os.listdir(tmp_path))

        folder = running.server.folder
        assert folder is not None

        threading.Thread(target=watch).start()
        noise = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), np.uint8)
        answer = running.judge_all([("a.png", encoded(noise)), ("b.txt", bytes(3 * 2**20))])
        ended.set()
    assert len(answer.rows) == 2
    assert seen == {folder.name}
    assert os.listdir(tmp_path) == []


def test_what_runs_is_finished_before_the_end(start: Callable[..., Running]) -> None:
    running = start()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(running.judge, picture(SLEEPS))
        time.sleep(0.3)
        running.server.stop()
        assert asked.result().rows[0]["verdict"] == "generated"
    with pytest.raises(ConnectionError):
        running.ask("GET", "/healthz")


def test_the_command_says_where_it_is_and_ends_well() -> None:
    command = [sys.executable, "-c", "import sys; from d2f.cli.main import main; sys.exit(main())"]
    command += ["serve", "fast", "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("chain fast at http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_form_that_is_cut_to_pieces_is_read_all_the_same() -> None:
    import asyncio

    from d2f.serve.settings import Limits
    from d2f.serve.uploads import read_uploads
    from tests.serve.serving import FORM

    body = form([("a.png", b"\r\n--a-line" * 3), ("b.png", b"")])

    async def pieces() -> object:
        async def chunks():
            for place in range(len(body)):
                yield body[place : place + 1]

        return [(one.name, one.data) for one in await read_uploads(FORM, chunks(), Limits())]

    assert asyncio.run(pieces()) == [("a.png", b"\r\n--a-line" * 3), ("b.png", b"")]

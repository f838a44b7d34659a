"""Clients: `d2f judge --server` prints what `d2f judge` prints here, and `d2f mcp` answers an assistant."""

from __future__ import annotations

import asyncio
import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from d2f.cli.main import main
from tests.serve.serving import Running, serving
from tests.serve.test_api import PICTURES

# `d2f judge --server`.

TOKEN = "a token of this test"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(token=TOKEN) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("camera.jpg", "made.png", "cut.jpg", "flat.png"):
        (tmp_path / name).write_bytes(PICTURES[name])
    (tmp_path / "cut again.jpg").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_it_prints_the_same_as_here(
    running: Running, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    monkeypatch.setenv("D2F_TOKEN", TOKEN)
    there = main(["judge", ".", "made.png", "--server", running.server.address, *more]), capsys.readouterr()
    assert there == (main(["judge", ".", "made.png", "--chain", "fast", *more]), capsys.readouterr())
    assert there[0] == 1


def test_without_the_token_it_says_how_to_give_it(
    running: Running, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", "made.png", "--server", running.server.address]) == 1
    err = capsys.readouterr().err
    assert "error[D2F702]" in err
    assert "D2F_TOKEN" in err


class Other(http.server.BaseHTTPRequestHandler):
    """A server that is not d2f's."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.says)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def other(says: bytes) -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        server.says = says  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_is_not_there_or_another_has_a_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert main(["judge", "made.png", "--server", f"http://127.0.0.1:{free}"]) == 1
    assert "error[D2F710]" in capsys.readouterr().err
    for says, why in ((b"hello", "status 200, and no JSON"), (b"{}", "it does not tell what chain is served")):
        with other(says) as url:
            assert main(["judge", "made.png", "--server", url]) == 1
        assert why in capsys.readouterr().err
    for address in ("localhost", "http://localhost:99999", "http://["):
        assert main(["judge", "made.png", "--server", address]) == 2
    assert main(["judge", "made.png", "--server", "http://localhost", "--chain", "fast"]) == 2


def test_a_port_that_is_taken_is_said(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "fast", "--port", str(running.port)]) == 2
    assert "error[D2F708]" in capsys.readouterr().err
    assert main(["serve", "fast", "--limit", "pixel=3"]) == 2
    assert "did you mean 'pixels'?" in capsys.readouterr().err


# `d2f mcp`, asked by the official client over the standard streams of a real process.

D2F = "import sys; from d2f.cli.main import main; sys.exit(main())"


async def asked_by_mcp(mcp: Any, folder: Path, calls: list[tuple[str, str]]) -> tuple[list[str], list[Any]]:
    """Return the names of the tools, and the results of calls."""
    told = mcp.StdioServerParameters(
        command=sys.executable, args=["-c", D2F, "mcp", "--root", str(folder), "--chain", "fast"]
    )
    async with mcp.stdio_client(told) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        return tools, [await session.call_tool(name, {"path": path}) for name, path in calls]


def test_an_assistant_judges_files_below_the_root_and_no_others(tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp")
    root = tmp_path / "root"
    root.mkdir()
    (root / "made.png").write_bytes(PICTURES["made.png"])
    (tmp_path / "outside.png").write_bytes(PICTURES["made.png"])
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    calls = [("judge", "made.png"), ("explain", "made.png"), ("judge", "../outside.png"), ("judge", "link.png")]
    tools, (judged, explained, above, linked) = asyncio.run(asked_by_mcp(mcp, root, calls))
    assert tools == ["judge", "explain"]
    assert not judged.is_error
    assert judged.structured_content["verdict"] in ("generated", "real", "inconclusive")
    assert any("nats" in line for line in explained.structured_content["reasons"])
    assert any("no proof of a camera" in line for line in explained.structured_content["limits"])
    assert above.is_error
    assert linked.is_error
    assert "there is no file 'link.png' below" in linked.content[0].text

"""`d2f mcp`, asked by the official client over the standard streams of a real process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.serve.test_api import PICTURES

mcp = pytest.importorskip("mcp")

COMMAND = "import sys; from d2f.cli.main import main; sys.exit(main())"


async def asked(folder: Path, calls: list[tuple[str, str]]) -> tuple[list[str], list[Any]]:
    """Return the names of the tools, and the results of calls."""
    told = mcp.StdioServerParameters(
        command=sys.executable, args=["-c", COMMAND, "mcp", "--root", str(folder), "--chain", "fast"]
    )
    async with mcp.stdio_client(told) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        return tools, [await session.call_tool(name, {"path": path}) for name, path in calls]


def test_an_assistant_judges_files_below_the_root_and_no_others(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "made.png").write_bytes(PICTURES["made.png"])
    (tmp_path / "outside.png").write_bytes(PICTURES["made.png"])
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    calls = [("judge", "made.png"), ("explain", "made.png"), ("judge", "../outside.png"), ("judge", "link.png")]
    tools, (judged, explained, above, linked) = asyncio.run(asked(root, calls))
    assert tools == ["judge", "explain"]
    assert not judged.is_error
    assert judged.structured_content["verdict"] in ("generated", "real", "inconclusive")
    assert any("nats" in line for line in explained.structured_content["reasons"])
    assert any("no proof of a camera" in line for line in explained.structured_content["limits"])
    assert above.is_error
    assert linked.is_error
    assert "there is no file 'link.png' below" in linked.content[0].text

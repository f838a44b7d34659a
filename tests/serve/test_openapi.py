"""The OpenAPI document is kept: whatever is asked by it is answered as it says, and by nothing of status 500."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.serve.serving import Running, serving

pytest.importorskip("schemathesis")

EXAMPLES = 15
"""Drawn requests of each route, besides those at every bound."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(limits={"file_bytes": 10_000, "request_bytes": 50_000, "jobs": 4}) as running:
        yield running


def test_the_how_to_names_every_route_and_status(running: Running) -> None:
    document = running.ask("GET", "/v1/openapi.json").json
    page = (DOCS / "how-to" / "serve.md").read_text("utf-8")
    told = set(re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE))
    statuses = {code for path in document["paths"].values() for one in path.values() for code in one["responses"]}
    assert {code for code in statuses if code >= "400"} <= told
    for last in ("events", "rows", "report"):
        page = page.replace(f"`/{last}`", f"/v1/jobs/{{id}}/{last}")
    assert [path for path in document["paths"] if path not in page] == []
    assert len(document["paths"]) == 9


def test_the_document_is_kept(running: Running, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.server.address}v1/openapi.json"]
    if not Path(command[0]).exists():
        command[:1] = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", "20", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

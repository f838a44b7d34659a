"""The OpenAPI document is kept: whatever is asked by it is answered as it says, and by nothing of status 500."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_the_document_names_every_route(running: Running) -> None:
    document = running.ask("GET", "/v1/openapi.json").json
    assert set(document["paths"]) == {
        "/v1/judge",
        "/v1/chain",
        "/v1/jobs",
        "/v1/jobs/{id}",
        "/v1/jobs/{id}/events",
        "/v1/jobs/{id}/rows",
        "/v1/jobs/{id}/report",
        "/healthz",
        "/readyz",
    }


def test_the_document_is_kept(running: Running, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.server.address}v1/openapi.json"]
    if not Path(command[0]).exists():
        command[:1] = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", "20", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

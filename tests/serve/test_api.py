"""The API: rows as `chain run` writes them, whatever is asked at once; a status for each kind of failure."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from d2f import load_chain
from d2f.output.lines import json_line
from d2f.serve.batching import Batcher
from d2f.serve.settings import Limits
from d2f.serve.uploads import Upload
from d2f.testing.pictures import camera_picture, upsampled_picture
from tests.docs.pages import DOCS, blocks
from tests.serve.serving import FORM, Running, form, serving


def encoded(pixels: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """Return a PNG of side x side pixels whose rows are not there: its header alone says how large it is."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


PICTURES = {
    "camera.jpg": encoded(camera_picture(seed=1), "JPEG", quality=90),
    "large.png": encoded(camera_picture(400, 620, seed=2)),
    "made.png": encoded(upsampled_picture(seed=3)),
    "made.webp": encoded(upsampled_picture(320, 256, seed=4), "WEBP", quality=80),
    "flat.png": encoded(np.full((256, 256, 3), 90, np.uint8)),
    "tiny.png": encoded(camera_picture(40, 40)),
    "text.jpg": b"no picture at all",
    "cut.jpg": encoded(camera_picture(seed=1), "JPEG")[:4000],
    "empty.png": b"",
    "bomb.png": bomb(60_000),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(limits={"files": 12, "file_bytes": 2**20}, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the rows of `chain run`, by name, with the bounds of the server."""
    from d2f import Bounds

    folder = tmp_path_factory.mktemp("pictures")
    for name, data in PICTURES.items():
        (folder / name).write_bytes(data)
    rows = load_chain("fast").run([folder / name for name in PICTURES], workers=1, bounds=Bounds(2**20, 64 * 2**20))
    found = [json.loads(json_line(row)) for row in rows]
    return {Path(row["path"]).name: {**row, "path": Path(row["path"]).name} for row in found}


def test_rows_are_those_of_chain_run_whatever_is_asked_at_once(running: Running, local: dict[str, Any]) -> None:
    names = [*PICTURES] * 3

    def one(name: str) -> dict[str, Any]:
        return running.judge(PICTURES[name], name).rows[0]

    with ThreadPoolExecutor(12) as threads:
        alone = threads.map(one, names)
        together = threads.submit(running.judge_all, [*PICTURES.items()])
        assert [*alone] == [local[name] for name in names]
        assert together.result().status == 200
        assert together.result().rows == [local[name] for name in PICTURES]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("text.jpg", 415, "D2F303"),
        ("cut.jpg", 422, "D2F304"),
        ("empty.png", 422, "D2F302"),
        ("bomb.png", 413, "D2F306"),
    ],
)
def test_a_single_picture_without_a_result_has_a_status_and_its_row(
    running: Running, local: dict[str, Any], name: str, status: int, code: str
) -> None:
    answer = running.judge(PICTURES[name], name)
    assert (answer.status, answer.code) == (status, code)
    assert answer.rows == [local[name]]


def test_too_many_pixels_names_the_limit_of_the_server_too(running: Running) -> None:
    message = running.judge(PICTURES["bomb.png"]).json["error"]["message"]
    assert "--max-pixels of d2f chain run, --limit pixels=N of d2f serve" in message


def test_too_many_bytes_of_one_picture_do_not_cost_the_others(running: Running, local: dict[str, Any]) -> None:
    answer = running.judge_all([("big.bin", bytes(2**20 + 1)), ("made.png", PICTURES["made.png"])])
    assert answer.status == 200
    assert answer.rows[0]["error"]["code"] == "D2F305"
    assert answer.rows[1] == local["made.png"]
    assert running.judge(bytes(2**20 + 1)).status == 413


def test_too_many_pictures_are_refused(running: Running) -> None:
    answer = running.judge_all([("a.png", PICTURES["flat.png"])] * 13)
    assert (answer.status, answer.code) == (413, "D2F704")


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("GET", "/v1/judge", None, "", 405),
        ("GET", "/v2/judge", None, "", 404),
        ("POST", "/v1/judge", b"{}", "application/json", 415),
        ("POST", "/v1/judge", b"x", "multipart/form-data", 400),
        ("POST", "/v1/judge", b"no form", FORM, 400),
        ("POST", "/v1/judge", form([("a.png", b"x")])[:-9], FORM, 400),
        ("POST", "/v1/judge", form([]), FORM, 422),
        ("POST", "/v1/judge?words=perhaps", b"x", "image/png", 422),
    ],
)
def test_what_is_not_understood_is_said_as_json(
    running: Running, method: str, path: str, body: bytes | None, kind: str, status: int
) -> None:
    answer = running.ask(method, path, body, {"content-type": kind} if kind else {})
    assert (answer.status, answer.code) == (status, "D2F703")


def test_names_are_not_trusted(running: Running) -> None:
    rows = running.judge_all([("../../etc/passwd", b"x"), ("C:\\a\\b.png", b"x"), ("a\u202egnp.exe", b"x")]).rows
    assert [row["path"] for row in rows] == ["passwd", "b.png", "agnp.exe"]


def test_words_are_those_of_judge(running: Running) -> None:
    answer = running.ask("POST", "/v1/judge?words=1", PICTURES["flat.png"], {"content-type": "image/png"})
    (words,) = answer.json["words"]
    assert words["sentence"].startswith("inconclusive: no colour")


def test_an_explanation_stands_beside_the_row(running: Running, local: dict[str, Any]) -> None:
    kind = {"content-type": "image/jpeg"}
    answer = running.ask("POST", "/v1/judge?explain=1&maps=tiles&name=camera.jpg", PICTURES["camera.jpg"], kind)
    assert answer.rows == [local["camera.jpg"]]
    (why,) = answer.json["explanations"]
    assert [one["kind"] for one in why["maps"]] == ["tiles"]
    assert why["maps"][0]["image"].startswith("data:image/png;base64,")
    assert [one["name"] for one in why["views"]] == ["plain"]
    assert "camera.jpg" in why["report"]
    assert running.ask("POST", "/v1/judge?maps=all", b"x", kind).status == 422


def test_the_chain_is_told(running: Running) -> None:
    chain, told = load_chain("fast"), running.ask("GET", "/v1/chain").json
    assert (told["name"], told["digest"]) == ("fast", chain.digest)
    assert told["generated_above"] == chain.file.verdict.generated_above
    assert told["limits"]["files"] == 12


def test_another_prior_holds_for_rows_and_reports() -> None:
    rare = load_chain("fast").with_prior(0.01)
    with serving(rare) as running:
        answer = running.ask(
            "POST", "/v1/judge?explain=1&maps=none", PICTURES["camera.jpg"], {"content-type": "image/jpeg"}
        )
        assert answer.rows[0]["probability"] == rare.judge(PICTURES["camera.jpg"]).probability
        assert "rates were set at prior 50 %: at 1 %" in answer.json["explanations"][0]["report"]
        assert running.ask("GET", "/v1/chain").json["prior"] == 0.01


def test_figures_count_what_was_asked(running: Running) -> None:
    running.judge(PICTURES["text.jpg"])
    text = running.ask("GET", "/metrics").body.decode()
    assert 'd2f_requests_total{path="/v1/judge",status="415"}' in text
    assert 'd2f_pictures_total{result="D2F303"}' in text
    assert "d2f_worker_processes 2.0" in text
    assert running.ask("GET", "/healthz").status == running.ask("GET", "/readyz").status == 200


# The queue before the worker processes.


def test_a_picture_that_nobody_waits_for_leaves_the_queue_at_once() -> None:
    batcher = Batcher(load_chain("fast"), Limits(queue=1), workers=1)  # not started: what is submitted waits
    for _ in range(3):
        one = batcher.submit(Upload("a.png", b"bytes"))
        assert batcher.waiting == 1
        assert one.cancel()
        assert batcher.waiting == 0
    batcher.close()


# docs/how-to/serve.md holds every limit, status and route; its unit file is one that systemd takes.

PAGE = (DOCS / "how-to" / "serve.md").read_text("utf-8")


def limits_table() -> str:
    """Return what stands between the marks."""
    lines = ["| name | default | |", "|---|--:|---|"]
    for name, field in Limits.model_fields.items():
        default = field.default
        shown = f"{default / 2**30:g}Gi" if default >= 2**30 else f"{default / 2**20:g}Mi"
        lines.append(f"| `{name}` | {shown if default >= 2**20 else f'{default:g}'} | {field.description} |")
    return "\n".join(lines)


def test_every_limit() -> None:
    stated = re.search(r"<!-- limits -->\n(.*?)<!-- /limits -->", PAGE, re.DOTALL)
    assert stated is not None
    assert stated[1].strip() == limits_table()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze is installed")
def test_the_unit_file(tmp_path: Path) -> None:
    (unit,) = (block.body for block in blocks(PAGE) if block.language == "ini")
    program = tmp_path / "d2f"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "d2f.service"
    file.write_text(unit.replace("/opt/d2f/bin/d2f", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert "d2f.service" not in done.stderr


def test_the_extension_is_short() -> None:
    folder = DOCS / "how-to" / "extension"
    assert sum(len(path.read_text("utf-8").splitlines()) for path in folder.iterdir()) < 100

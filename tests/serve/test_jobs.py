"""Jobs: an archive or a folder below the root, its progress, its rows, its end."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from d2f import load_chain
from d2f.output.lines import json_line
from d2f.serve.app import _up_to
from d2f.serve.batching import Batcher
from d2f.serve.guard import Refused
from d2f.serve.jobs import Jobs
from d2f.serve.settings import ServeSettings, limits_of
from tests.serve.serving import Running, serving
from tests.serve.test_api import PICTURES

NAMES = ("camera.jpg", "made.png", "cut.jpg", "flat.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for number, name in enumerate(NAMES):
        place = folder / "desk" / f"day {number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(PICTURES[name])
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.png").write_bytes(PICTURES["made.png"])
    (folder / "desk" / "link.png").symlink_to(outside / "secret.png")
    (folder / "away").symlink_to(outside)
    return folder


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Running]:
    with serving(root=root, limits={"jobs": 3}) as running:
        yield running


def ended(running: Running, id: str) -> dict[str, Any]:
    """Follow a job to its end by its events; return the last."""
    answer = running.ask("GET", f"/v1/jobs/{id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert [one["done"] for one in told] == sorted(one["done"] for one in told)
    return told[-1]


def begin(running: Running, folder: str) -> Any:
    return running.ask(
        "POST", "/v1/jobs", json.dumps({"folder": folder}).encode(), {"content-type": "application/json"}
    )


def test_a_folder_is_judged_as_chain_run_judges_it(running: Running, root: Path) -> None:
    job = begin(running, "desk")
    assert job.status == 202
    told = ended(running, job.json["id"])
    assert (told["state"], told["done"], told["results"]["D2F304"]) == ("done", 4, 1)
    rows = running.ask("GET", f"{job.headers['location']}/rows").body.splitlines()
    local = {row.path: json.loads(json_line(row)) for row in load_chain("fast").run(root / "desk", workers=1)}
    for row in map(json.loads, rows):
        assert row == {**local[str(root / row["path"])], "path": row["path"]}
    report = running.ask("GET", f"{job.headers['location']}/report").body.decode()
    assert "4 of 4 pictures judged; done." in report
    assert report.index("made.png") < report.index("cut.jpg")


def test_a_folder_whose_name_is_not_utf_8_is_judged(running: Running, root: Path) -> None:
    (root / "caf\udce9").mkdir()
    (root / "caf\udce9" / "made.png").write_bytes(PICTURES["made.png"])
    job = begin(running, "caf\udce9").json
    assert job["name"] == "caf\ufffd"
    told = ended(running, job["id"])
    assert (told["state"], told["done"]) == ("done", 1)
    assert running.ask("DELETE", f"/v1/jobs/{job['id']}").status == 204


def test_rows_of_jobs_are_counted_in_the_figures(running: Running) -> None:
    def counted() -> float:
        lines = running.ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("d2f_pictures_total{"))

    before = counted()
    job = ended(running, begin(running, "desk").json["id"])
    assert counted() - before == job["done"] == 4


def test_files_that_a_job_leaves_out_are_counted(running: Running, root: Path, tmp_path: Path) -> None:
    (tmp_path / "private.secret").write_bytes(b"outside of the root")
    folder = root / "mixed"
    folder.mkdir()
    (folder / "made.png").write_bytes(PICTURES["made.png"])
    for name in ("notes.doc", "more.doc", ".hidden.png"):
        (folder / name).write_bytes(b"words")
    (folder / "out").symlink_to(tmp_path)
    (folder / "out.txt").symlink_to(tmp_path / "private.secret")
    job = ended(running, begin(running, "mixed").json["id"])
    assert (job["state"], job["found"], job["links_refused"]) == ("done", 1, 2)
    assert job["passed_over"] == {".doc": 2, "hidden": 1}
    report = running.ask("GET", f"/v1/jobs/{job['id']}/report").body.decode()
    assert "3 files passed over: 2 .doc, 1 hidden." in report
    assert "2 links that lead out of the root not followed" in report


def test_files_of_an_archive_that_are_left_out_are_counted(running: Running) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("made.png", PICTURES["made.png"])
        archive.writestr("read.me", b"words")
    job = running.ask("POST", "/v1/jobs", buffer.getvalue(), {"content-type": "application/zip"}).json
    assert ended(running, job["id"])["passed_over"] == {".me": 1}


def test_a_media_type_is_read_in_any_case(running: Running) -> None:
    headers = {"content-type": "APPLICATION/JSON; charset=utf-8"}
    assert running.ask("POST", "/v1/jobs", b'{"folder": "no such"}', headers).status == 404


def test_the_name_of_a_folder_is_short(running: Running) -> None:
    answer = begin(running, "a" * 2**17)
    assert (answer.status, answer.code) == (413, "D2F704")


def test_rows_that_come_while_others_are_sent_wait_for_the_next_request(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"1" * 100_000)
    sent = _up_to(path.open("rb"), 100_000)
    size = len(next(sent))
    with path.open("ab") as file:
        file.write(b"2" * 100_000)
    assert size + sum(map(len, sent)) == 100_000


@pytest.mark.parametrize("name", ["..", "away", "/etc", "nothing", "desk/link.png", "\0", "\ud800", "gone\udce9"])
def test_what_is_not_below_the_root_is_not_there(running: Running, name: str) -> None:
    answer = begin(running, name)
    assert (answer.status, answer.code) == (404, "D2F002")


def test_without_a_root_no_folder_is_judged_and_jobs_leave_nothing_behind() -> None:
    with serving() as running:
        assert begin(running, "desk").status == 403
        folder_of(running).rmdir()  # as a system does with what lies in its temporary directory for days
        assert send_archive(running).status == 202
        folder = folder_of(running)
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def folder_of(running: Running) -> Path:
    assert running.server.folder is not None
    return running.server.folder


def test_a_server_leaves_the_uploads_of_another_alone_but_not_those_of_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving() as first:
        assert send_archive(first).status == 202
        left = tmp_path / folder_of(first).name.replace(folder_of(first).name[-8:], "leftover")
        (left / "job").mkdir(parents=True)
        held = {path.name for path in folder_of(first).iterdir()}
        with serving(host="127.0.0.2", port=first.port) as second:
            assert folder_of(second) != folder_of(first)
            assert not left.exists()
        assert {path.name for path in folder_of(first).iterdir()} == held
        assert held
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_another_job_overtakes_is_refused_and_not_kept(root: Path) -> None:
    settings = ServeSettings(root=root, limits=limits_of({"jobs": 1}))
    jobs = Jobs(Batcher(load_chain("fast"), settings.limits, 1), settings)  # without a process, no job ends

    async def overtaken() -> AsyncIterator[bytes]:
        jobs.of_folder("desk")
        yield b"PK\x03\x04"

    jobs.start()
    try:
        with pytest.raises(Refused, match="1 jobs run or wait"):
            asyncio.run(jobs.of_archive("photos.zip", overtaken()))
        assert jobs.folder is not None
        assert list(jobs.folder.iterdir()) == [jobs.all[0].folder]
    finally:
        jobs.close()


def send_archive(running: Running) -> Any:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in NAMES:
            archive.writestr(f"photos/{name}", PICTURES[name])
    return running.ask("POST", "/v1/jobs?name=photos.zip", buffer.getvalue(), {"content-type": "application/zip"})


def test_an_archive_is_judged_in_place(running: Running) -> None:
    job = send_archive(running)
    assert (job.status, job.json["name"]) == (202, "photos.zip")
    assert ended(running, job.json["id"])["done"] == 4
    rows = running.ask("GET", f"/v1/jobs/{job.json['id']}/rows").body.splitlines()
    assert [json.loads(row)["path"] for row in rows] == [f"photos/{name}" for name in NAMES]


def test_what_is_no_archive_is_refused_and_not_kept(running: Running) -> None:
    answer = running.ask("POST", "/v1/jobs", PICTURES["made.png"], {"content-type": "application/zip"})
    assert (answer.status, answer.code) == (415, "D2F703")


def test_archives_and_jobs_are_bounded(root: Path) -> None:
    with serving(root=root, limits={"job_bytes": 10_000, "job_files": 2}) as running:
        answer = send_archive(running)
        assert (answer.status, answer.code) == (413, "D2F704")
        assert list(folder_of(running).iterdir()) == []
        job = ended(running, begin(running, "desk").json["id"])
        assert (job["state"], job["error"]) == ("failed", {"code": "D2F704", "message": "a job may have 2 pictures"})


def test_a_job_can_be_deleted_and_the_oldest_that_ended_makes_room(running: Running) -> None:
    first = begin(running, "desk").json["id"]
    ended(running, first)
    for _ in range(3):
        ended(running, begin(running, "desk").json["id"])
    listed = [job["id"] for job in running.ask("GET", "/v1/jobs").json]
    assert len(listed) == 3
    assert first not in listed
    assert running.ask("DELETE", f"/v1/jobs/{listed[0]}").status == 204
    assert running.ask("GET", f"/v1/jobs/{listed[0]}").code == "D2F709"
    deadline = time.monotonic() + 10
    while len(list(folder_of(running).iterdir())) > 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(folder_of(running).iterdir())) == 2

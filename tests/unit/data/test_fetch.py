"""Source lists: images out of a folder of git directories, and over http from the machine itself."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from d2f import D2FError
from d2f.cli.data import fetch as command
from d2f.data import fetch as module
from d2f.data.dataset import load_dataset
from d2f.data.fetch import fetch_images, read_sources

FILES = {"img/a one.JPG": b"first", "img/b.png": b"second", "c": b"third"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def write_list(path, commit="0" * 40, **changed):
    labels = {"img/a one.JPG": "real", "img/b.png": "generated", "c": "generated"}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["repo", "commit", "path", "sha256", "bytes", "label", "generator", "collection", "licence"])
        for name, data in FILES.items():
            generator = "FLUX" if labels[name] == "generated" else ""
            sha256 = changed.get("sha256", {}).get(name, digest(data))
            writer.writerow(["owner/pics", commit, name, sha256, len(data), labels[name], generator, "pics", "MIT"])
    return str(path)


@pytest.fixture
def mirror(tmp_path):
    """A mirror with one repository whose HEAD has lost a file that an older commit holds."""
    work, held = tmp_path / "work", tmp_path / "mirror" / "owner+pics"
    work.mkdir()
    held.mkdir(parents=True)

    def git(*arguments):
        own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *own, "-C", str(work), *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    for name, data in FILES.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(data)
    git("add", ".")
    git("commit", "-qm", "all")
    commit = git("rev-parse", "HEAD")
    git("rm", "-q", "c")
    git("commit", "-qm", "less")
    (work / ".git").rename(held / "repo")
    return tmp_path / "mirror", commit


def test_images_come_out_of_a_mirror_with_a_manifest_that_says_where_from(tmp_path, mirror):
    folder, commit = mirror
    found = fetch_images(read_sources(write_list(tmp_path / "s.csv", commit)), tmp_path / "out", folder)
    assert (found.fresh, found.gone) == (3, ())
    images = load_dataset(tmp_path / "out")
    assert [image.label for image in images] == [0, 1, 1]
    assert [Path(image.path).read_bytes() for image in images] == list(FILES.values())
    assert images[1].generator == "FLUX"
    assert images[0].more["origin_path"] == "img/a one.JPG"
    assert images[0].more["licence"] == "MIT"
    assert images[0].path.endswith(f"{digest(b'first')[:24]}.jpg")


def test_a_second_run_fetches_only_what_is_missing_or_damaged(tmp_path, mirror):
    folder, commit = mirror
    sources = read_sources(write_list(tmp_path / "s.csv", commit))
    first = fetch_images(sources, tmp_path / "out", folder)
    assert fetch_images(sources, tmp_path / "out", folder).fresh == 0
    Path(first.images[1].path).write_bytes(b"cut")
    again = fetch_images(sources, tmp_path / "out", folder)
    assert again.fresh == 1
    assert Path(again.images[1].path).read_bytes() == b"second"


def test_where_the_commit_is_not_there_head_is_asked_and_what_is_gone_is_counted(tmp_path, mirror):
    folder, _ = mirror
    wrong = {"img/b.png": "a" * 64}
    found = fetch_images(read_sources(write_list(tmp_path / "s.csv", sha256=wrong)), tmp_path / "out", folder)
    assert found.reasons == {"its repository no longer has it": 1, "the file there has another digest": 1}
    assert len(load_dataset(tmp_path / "out")) == 1
    with (tmp_path / "out" / "gone.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["img/b.png", "c"]


def test_over_http_names_are_quoted_and_digests_checked(tmp_path, monkeypatch):
    site = tmp_path / "site" / "owner" / "pics" / ("0" * 40)
    for name, data in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    (site / "c").unlink()
    (site / "img" / "b.png").write_bytes(b"drawn!")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(module, "ADDRESS", f"http://127.0.0.1:{server.server_port}")
    try:
        found = fetch_images(read_sources(write_list(tmp_path / "s.csv")), tmp_path / "out", workers=2)
    finally:
        server.shutdown()
        server.server_close()
    assert found.fresh == 1
    assert found.reasons == {
        "the file there has another digest": 1,
        "the server answers 404 File not found": 1,
    }
    assert list((tmp_path / "out").rglob("*.part")) == []


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("commit", "--upload-pack", "D2F605"),
        ("sha256", "12", "D2F605"),
        ("repo", "../x", "D2F605"),
        ("label", "?", "D2F602"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line(tmp_path, column, value, code):
    write_list(tmp_path / "s.csv")
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    rows[1][column] = value
    with (tmp_path / "s.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(D2FError) as caught:
        read_sources(str(tmp_path / "s.csv"))
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.place.line == 3


def test_a_list_without_digests_and_a_mirror_that_is_not_there_are_refused(tmp_path):
    (tmp_path / "s.csv").write_text("repo,path,label\n")
    with pytest.raises(D2FError, match="no column commit, sha256"):
        read_sources(str(tmp_path / "s.csv"))
    sources = read_sources(write_list(tmp_path / "t.csv"))
    with pytest.raises(D2FError, match="there is no folder"):
        fetch_images(sources, tmp_path / "out", tmp_path / "nowhere")


def test_the_command_says_what_came_and_what_is_gone(tmp_path, mirror):
    folder, _ = mirror
    arguments = [write_list(tmp_path / "s.csv"), str(tmp_path / "out"), "--mirror", str(folder)]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.return_value == 1
    assert "2 images: 1 real, 1 generated, 1 collections; 2 fetched now" in done.output
    assert "1 not found: its repository no longer has it" in done.output

"""``d2f chain run``, word for word: what is printed where, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pyarrow.dataset
import pytest

from d2f import __version__
from d2f.api.errors import Exit
from d2f.api.rows import path_of
from d2f.cli.main import main
from tests.cli.toy import CHAIN, Toy, toy
from tests.distributions import Distributions

__all__ = ["toy"]

Run = Callable[..., tuple[int, str, str]]
FAST = re.compile(r"\d+ in \d+\.\d s, \d+\.\d a second")
DIGEST = re.compile(r"[0-9a-f]{64}|(?<=digest )[0-9a-f]{12}")


@pytest.fixture
def run(toy: Toy, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the toy chain; return the exit code, stdout and stderr, speed and digests masked."""

    def run(*arguments: str, chain: str = "toy.yaml") -> tuple[int, str, str]:
        code = main(["chain", "run", chain, *arguments])
        texts = capfd.readouterr()
        return code, masked(texts.out), masked(texts.err)

    return run


@pytest.fixture
def photos(toy: Toy) -> Toy:
    """A folder with a picture of each kind, and an empty file."""
    for colour in ("white", "black", "grey", "red", "blue"):
        toy.picture(f"photos/{colour}.png", colour)
    (toy.folder / "photos" / "empty.jpg").write_bytes(b"")
    return toy


def masked(text: str) -> str:
    return DIGEST.sub("DIGEST", FAST.sub("N in T s, R a second", text)).replace(__version__, "VERSION")


def expect(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


SUMMARY = """
    6 images: 1 AI-generated, 1 no sign of generation, 3 inconclusive, 1 failed
    failed images
           1  D2F302: the file is empty; first: photos/empty.jpg
    failed members
           1  hue/plain D2F401: ValueError: it is red; first: photos/red.png
    members that abstained
           1  hue/plain: it is blue; first: photos/blue.png
    N in T s, R a second
    chain toy, digest DIGEST; rows written to WHERE
    A probability holds for images like those that the chain was fitted on.
    """


def summary(where: str) -> str:
    return expect(SUMMARY).replace("WHERE", where)


class TestWhatIsPrinted:
    def test_a_table(self, photos: Toy, run: Run) -> None:
        code, out, err = run("photos")
        assert out == expect(
            """
            file                     verdict, probability           evidence: + AI, - camera
            photos/black.png         no sign of generation  0.1107  -1.3 light/plain
                                                                    -0.7 light/negative
            photos/blue.png          inconclusive           0.3798  -0.3 light/plain
                                                                    -0.2 light/negative
            photos/empty.jpg         failed                         D2F302: the file is
                                                                    empty
            photos/grey.png          inconclusive           0.4890  -0.1 hue/plain: no
                                                                    colour at all
            photos/red.png           inconclusive           0.3798  -0.3 light/plain
                                                                    -0.2 light/negative
                                                                    hue/plain D2F401:
                                                                    ValueError: it is red
            photos/white.png         AI-generated           0.8718  +1.3 light/plain
                                                                    +0.7 light/negative
            """
        )
        assert (code, err) == (Exit.SOME_FAILED, summary("standard output"))

    def test_jsonl(self, photos: Toy, run: Run) -> None:
        code, out, err = run("photos/grey.png", "photos/empty.jpg", "--format", "jsonl", "-q")
        assert out == (
            '{"path": "photos/grey.png", "path_bytes": null, "sha256": "DIGEST", '
            '"width": 16, "height": 12, "format": "PNG", '
            '"frames": 1, "probability": 0.489, "verdict": "inconclusive", "llr": -0.0441, "notes": [], "missing": [], '
            '"disagreements": [], "evidence": [], "llr_provenance": null, "probability_with_provenance": null, '
            '"stages": ['
            '{"detector": "light", "view": "plain", "score": 0.5098039215686274, "probability": 0.5196, '
            '"contribution": 0.0261, "abstained": null, "error": null, "evidence": null, "seen": null}, '
            '{"detector": "light", "view": "negative", "score": 0.49019607843137253, "probability": 0.5098, '
            '"contribution": 0.0131, "abstained": null, "error": null, "evidence": null, "seen": null}, '
            '{"detector": "hue", "view": "plain", "score": 0.25, "probability": 0.4378, "contribution": -0.0833, '
            '"abstained": null, "error": null, "evidence": "no colour at all", "seen": null}], '
            '"chain": "toy", "chain_digest": "DIGEST", '
            '"plugins": {"d2f-toy": "1.2", "d2f": "VERSION"}, "error": null}\n'
            '{"path": "photos/empty.jpg", "path_bytes": null, "sha256": null, '
            '"width": null, "height": null, "format": null, '
            '"frames": null, "probability": null, "verdict": null, "llr": null, "notes": [], "missing": [], '
            '"disagreements": [], "evidence": [], "llr_provenance": null, "probability_with_provenance": null, '
            '"stages": [], "chain": "toy", "chain_digest": "DIGEST", '
            '"plugins": {"d2f-toy": "1.2", "d2f": "VERSION"}, '
            '"error": {"code": "D2F302", "message": "the file is empty"}}\n'
        )
        assert (code, err) == (Exit.SOME_FAILED, "")

    def test_csv(self, photos: Toy, run: Run) -> None:
        _, out, _ = run("photos/white.png", "photos/empty.jpg", "--format", "csv")
        keys = ("score", "probability", "contribution", "abstained", "error", "evidence", "seen")
        members = [f"{member}:{key}" for member in ("light/plain", "light/negative", "hue/plain") for key in keys]
        plugins = '"{""d2f-toy"": ""1.2"", ""d2f"": ""VERSION""}"'
        assert out.splitlines() == [
            "path,path_bytes,sha256,width,height,format,frames,probability,verdict,llr,notes,missing,disagreements,evidence,"
            "llr_provenance,probability_with_provenance,"
            + ",".join(members)
            + ",chain,chain_digest,plugins,error_code,error_message",
            "photos/white.png,,DIGEST,16,12,PNG,1,0.8718,generated,1.9167,,,,,,,1.0,0.982,1.3333,,,,,0.0,0.8808,0.6667,,,,,"
            "0.25,0.4378,-0.0833,,,no colour at all,,toy,DIGEST," + plugins + ",,",
            "photos/empty.jpg" + "," * 37 + "toy,DIGEST," + plugins + ",D2F302,the file is empty",
        ]

    @pytest.mark.parametrize("file", ["rows.jsonl", "rows.csv", "rows.parquet", "rows.txt"])
    def test_a_file_leaves_stdout_to_the_summary(self, photos: Toy, run: Run, file: str) -> None:
        assert run("photos", "-o", file) == (Exit.SOME_FAILED, summary(file), "")
        again = run("photos", "-o", file, "--overwrite", "--quiet")
        assert again == (Exit.SOME_FAILED, "", "")

    def test_formats_hold_the_same(self, photos: Toy, run: Run) -> None:
        for file in ("rows.jsonl", "rows.csv", "rows.parquet"):
            run("photos", "-o", file)
        rows = [json.loads(line) for line in Path("rows.jsonl").read_text("utf-8").splitlines()]
        with Path("rows.csv").open(encoding="utf-8", newline="") as file:
            records = list(csv.DictReader(file))
        parts = pyarrow.dataset.dataset("rows.parquet").to_table().to_pylist()
        for row, record, part in zip(rows, records, parts, strict=True):
            assert {name: "" if value is None else str(value) for name, value in part.items()} == record
            for member in row["stages"]:
                name = f"{member['detector']}/{member['view']}"
                assert part[f"{name}:score"] == member["score"]
                assert part[f"{name}:contribution"] == member["contribution"]
                assert part[f"{name}:abstained"] == member["abstained"]
            assert (part["path"], part["probability"], part["verdict"]) == (
                *(row["path"], row["probability"]),
                row["verdict"],
            )

    def test_views_that_disagree(self, toy: Toy, run: Run) -> None:
        disagreeing = CHAIN.replace("SECONDS", "0").replace("slope: -4.0, bias: 2.0", "slope: 8.0, bias: -4.0")
        (toy.folder / "disagreeing.yaml").write_text(disagreeing, "utf-8")
        toy.picture("white.png")
        _, out, err = run("white.png", chain="disagreeing.yaml")
        assert "disagreement: light:\n" in out
        assert "negative no sign of\n" in out
        assert "1 image with a detector whose views disagree\n" in err

    def test_help_names_the_exit_codes(self, run: Run) -> None:
        code, out, _ = run("--help", chain="-h")
        assert code == 0
        assert "Exit code 0    every image was scored\n            1    some image or some stage failed" in out
        assert "--engine NAME" in out
        assert "--report DIR" in out


class TestImages:
    def test_those_of_the_chain_file_are_taken(self, toy: Toy, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        toy.picture("deep/photos/white.png")
        own = CHAIN.replace("SECONDS", "0").replace("name: toy", "name: toy\nimages: [photos]")
        (toy.folder / "deep" / "own.yaml").write_text(own, "utf-8")
        code, out, _ = run("--format", "csv", chain="deep/own.yaml")
        assert code == 0
        assert out.splitlines()[1].startswith("deep/photos/white.png,")

    def test_none_named(self, run: Run) -> None:
        assert run() == (
            Exit.USAGE,
            "",
            expect(
                """
                error[D2F003]: no image was named, and chain 'toy' names none
                   = d2f chain run toy.yaml FOLDER

                1 error
                """
            ),
        )

    def test_none_found_leaves_no_file(self, toy: Toy, run: Run) -> None:
        (toy.folder / "photos").mkdir()
        code, out, err = run("photos", "-o", "rows.csv")
        assert (code, out) == (Exit.USAGE, "")
        assert err.startswith("error[D2F003]: no image was found: 'photos'\n")
        assert not (toy.folder / "rows.csv").exists()

    def test_names_of_every_kind(self, toy: Toy, run: Run) -> None:
        names = ["été 🦊.png", "two\nlines\r.png", 'say "cheese", please.png', os.fsdecode(b"caf\xe9.png"), "[1].png"]
        for name in names:
            toy.picture(f"photos/{name}")
        for file in ("rows.jsonl", "rows.csv", "rows.parquet"):
            assert run("photos", "-o", file)[0] == 0
            assert "5 images: 5 AI-generated" in run("photos", "-o", file, "--resume")[1]
            assert "none was left to do; 5 from an earlier run" in run("photos", "-o", file, "--resume")[1]
        rows = [json.loads(line) for line in Path("rows.jsonl").read_bytes().splitlines()]
        paths = [path_of(row["path"], row["path_bytes"]) for row in rows]
        assert sorted(paths) == sorted(f"photos/{name}" for name in names)
        assert all(Path(path).is_file() for path in paths)
        _, out, _ = run("photos")
        assert "two\\nlines\\r.png " in out
        assert "photos/caf\ufffd.png " in out

    def test_one_named_twice_has_one_row_resumed_or_not(self, toy: Toy, run: Run) -> None:
        toy.picture("photos/a.png")
        toy.picture("photos/b.png")
        named = ("photos", "photos/a.png", "photos/../photos/a.png")
        _, out, _ = run(*named, "-o", "rows.jsonl")
        assert out.startswith(
            "2 images: 2 AI-generated, 0 no sign of generation, 0 inconclusive, 0 failed\n"
            "2 images were named twice and taken once\n"
        )
        whole = Path("rows.jsonl").read_bytes()
        assert whole.count(b'"path": "photos/a.png"') == 1
        lines = whole.splitlines(keepends=True)
        for kept in range(3):
            Path("rows.jsonl").write_bytes(b"".join(lines[:kept]))
            run(*named, "-o", "rows.jsonl", "--resume")
            assert Path("rows.jsonl").read_bytes() == whole
        assert (
            "0 failed\nnone was left to do"
            in run("./photos/b.png", str(toy.folder / "photos/a.png"), "-o", "rows.jsonl", "--resume")[1]
        )
        assert Path("rows.jsonl").read_bytes() == whole

    def test_a_folder_that_cannot_be_listed_has_a_row(
        self, toy: Toy, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy.picture("photos/a.png")
        toy.picture("photos/secret/b.png")
        scandir = os.scandir

        def guarded(folder: str) -> object:
            # Tests may run as root, whom no permission stops.
            if str(folder).endswith("secret"):
                raise PermissionError(13, "Permission denied")
            return scandir(folder)

        monkeypatch.setattr(os, "scandir", guarded)
        code, out, err = run("photos", "--format", "csv")
        assert code == Exit.SOME_FAILED
        assert [line.split(",")[0] for line in out.splitlines()[1:]] == ["photos/a.png", "photos/secret"]
        assert "D2F301" in err

    def test_limits(self, toy: Toy, run: Run) -> None:
        toy.picture("white.png")
        for option, size, code in [("--max-pixels", "100", "D2F306"), ("--max-bytes", "0.01Ki", "D2F305")]:
            exit_code, out, _ = run("white.png", option, size, "--format", "jsonl")
            assert exit_code == Exit.SOME_FAILED
            assert json.loads(out)["error"]["code"] == code
        assert run("white.png", "--max-pixels", "192", "--max-bytes", "1M")[0] == 0


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--resume"], "--resume needs -o FILE"),
            (["--overwrite", "-o", "-"], "--overwrite needs -o FILE"),
            (["--resume", "--overwrite", "-o", "rows.csv"], "--resume and --overwrite exclude each other"),
            (["-o", "rows.xlsx"], "no format goes with the name 'rows.xlsx'"),
            (["--format", "parquet"], "Parquet is written to a folder of parts"),
            (["--max-bytes", "many"], "'many' is not a positive number such as 4096, 200M or 640Mi"),
            (["--max-pixels", "0"], "'0' is not a positive number such as 4096, 200M or 640Mi"),
            (["--workers", "0"], "0 is not in the range x>=1"),
            (["-o", "rows.txt", "--resume"], "only a file of rows can be resumed"),
            (["-o", "rows.csv", "--summary", "./rows.csv"], "--summary and -o name the same file"),
            (["--time-limit", "nan"], "it must be a finite number"),
        ],
    )
    def test_a_command_line_that_makes_no_sense(
        self, photos: Toy, run: Run, arguments: list[str], message: str
    ) -> None:
        code, out, err = run("photos", *arguments)
        assert (code, out) == (Exit.USAGE, "")
        assert err.startswith("error[D2F001]: ")
        assert message in err

    @pytest.mark.parametrize("options", [("-o",), ("-o", "rows.csv", "--summary")])
    def test_an_output_that_is_also_an_input(self, photos: Toy, run: Run, options: tuple[str, ...]) -> None:
        listed = b"path\nphotos/white.png\n"
        Path("list.csv").write_bytes(listed)
        Path("link.csv").symlink_to("list.csv")
        code, out, err = run("list.csv", *options, "link.csv", "--overwrite")
        assert (code, out) == (Exit.USAGE, "")
        assert err.startswith(f"error[D2F001]: {options[-1]} names 'list.csv', which images are read from\n")
        assert Path("list.csv").read_bytes() == listed

    def test_all_files_are_taken_but_the_run_s_own(self, photos: Toy, run: Run) -> None:
        named = ("photos", "--all-files", "-o", "photos/rows.jsonl", "--summary", "photos/counts.json", "--resume")
        run(*named)
        before = Path("photos/rows.jsonl").read_bytes()
        assert before.count(b"\n") == 6
        run(*named)
        assert Path("photos/rows.jsonl").read_bytes() == before

    def test_a_file_that_is_there(self, photos: Toy, run: Run) -> None:
        run("photos", "-o", "rows.csv")
        before = Path("rows.csv").read_bytes()
        assert run("photos", "-o", "rows.csv") == (
            Exit.USAGE,
            "",
            expect(
                """
                error[D2F004]: 'rows.csv' already exists
                   = to continue it: --resume; to replace it: --overwrite; or choose another file with -o

                1 error
                """
            ),
        )
        assert Path("rows.csv").read_bytes() == before

    @pytest.mark.parametrize("file", ["rows.jsonl", "rows.csv", "rows.parquet"])
    def test_rows_of_another_chain(self, photos: Toy, run: Run, file: str) -> None:
        run("photos", "-o", file)
        (photos.folder / "other.yaml").write_text(CHAIN.replace("SECONDS", "0").replace("8.0", "7.0"), "utf-8")
        code, _, err = run("photos", "-o", file, "--resume", chain="other.yaml")
        assert code == Exit.USAGE
        assert err.startswith(f"error[D2F005]: '{file}' holds rows of another chain (digest DIGEST")

    def test_a_broken_plugin_that_the_chain_needs(self, photos: Toy, run: Run, distributions: Distributions) -> None:
        distributions.add_plugin("frail", "import nothing_that_exists")
        (photos.folder / "frail.yaml").write_text("d2f: 1\nname: frail\ndetectors: [{use: frail}]\n", "utf-8")
        code, _, err = run("photos", "-o", "rows.csv", chain="frail.yaml")
        assert code == Exit.PLUGIN
        assert "No module named 'nothing_that_exists'" in err
        assert not (photos.folder / "rows.csv").exists()

    @pytest.mark.parametrize("named", ["photos", "photos/", "photos/white.png"])
    def test_images_where_the_chain_belongs(self, photos: Toy, run: Run, named: str) -> None:
        code, out, err = run(chain=named)
        assert (code, out) == (Exit.USAGE, "")
        assert "   = the chain comes first, then the images: d2f chain run CHAIN IMAGE\n" in err

    def test_a_chain_file_that_is_wrong(self, photos: Toy, run: Run) -> None:
        (photos.folder / "wrong.yaml").write_text("d2f: 1\nname: wrong\n", "utf-8")
        assert run("photos", chain="wrong.yaml")[0] == Exit.USAGE


class TestOneImage:
    def test_scored(self, toy: Toy, run: Run) -> None:
        toy.picture("white.png")
        assert run("white.png", "-q")[::2] == (Exit.OK, "")

    def test_abstaining_is_no_failure(self, toy: Toy, run: Run) -> None:
        toy.picture("blue.png", "blue")
        assert run("blue.png", "-q")[0] == Exit.OK

    def test_a_failed_member_is_one(self, toy: Toy, run: Run) -> None:
        toy.picture("red.png", "red")
        assert run("red.png", "-q")[0] == Exit.SOME_FAILED

    def test_resumed_failures_count(self, toy: Toy, run: Run) -> None:
        toy.picture("red.png", "red")
        run("red.png", "-o", "rows.csv")
        assert run("red.png", "-o", "rows.csv", "--resume")[0] == Exit.SOME_FAILED


def process(toy: Toy, *arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = toy.command("toy.yaml", *arguments)
    return subprocess.run(
        command,
        env=toy.environment,
        cwd=toy.folder,
        text=True,
        timeout=60,
        check=False,
        **more,  # type: ignore[call-overload]
    )


class TestProcesses:
    """What only a process of its own can show."""

    def test_paths_from_standard_input(self, toy: Toy) -> None:
        toy.picture("white.png")
        done = process(toy, "-", "--format", "csv", input="white.png\nmissing.png\n", capture_output=True)
        assert done.returncode == Exit.SOME_FAILED
        assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == ["white.png", "missing.png"]

    @pytest.mark.parametrize("format", ["jsonl", "csv", "table"])
    def test_what_plugins_print_never_stands_among_the_rows(self, photos: Toy, format: str) -> None:
        quiet = process(photos, "photos", "--format", format, capture_output=True)
        source = photos.distributions.folder / "d2f_toy.py"
        loud = source.read_text("utf-8").replace(
            "def score(self, batch):", "def score(self, batch):\n        print('LOUD')"
        )
        source.write_text(f"print('LOUD')\n{loud}", "utf-8")
        done = process(photos, "photos", "--format", format, capture_output=True)
        # Another code is another digest.
        assert re.sub("[0-9a-f]{64}", "", done.stdout) == re.sub("[0-9a-f]{64}", "", quiet.stdout)
        assert done.stderr.count("LOUD") > 1
        assert done.returncode == quiet.returncode == Exit.SOME_FAILED

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ((), "standard output"),
            (("--format", "jsonl"), "standard output"),
            (("--format", "csv", "-o", "/dev/full"), "/dev/full"),
            (("-o", "rows.csv"), "standard output"),
        ],
    )
    def test_a_full_disk(self, photos: Toy, arguments: tuple[str, ...], name: str) -> None:
        with open("/dev/full", "w") as full:
            done = process(photos, "photos", *arguments, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == Exit.SOME_FAILED
        assert done.stderr == expect(
            f"""
            error[D2F004]: '{name}' cannot be written: No space left on device
               = choose another file with -o

            1 error
            """
        )

    @pytest.mark.parametrize("format", ["table", "jsonl", "csv"])
    def test_a_reader_that_stops(self, toy: Toy, format: str) -> None:
        white = toy.picture("white.png")
        names = [f"{number}.png" for number in range(3000)]
        for name in names:
            os.link(white, toy.folder / name)
        images = "\n".join(names)
        with subprocess.Popen(
            toy.command("toy.yaml", "-", "--format", format),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=toy.environment,
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            assert running.stderr is not None
            running.stdin.write(images.encode())
            running.stdin.close()
            running.stdout.readline()
            running.stdout.close()
            assert running.stderr.read() == b""
            assert running.wait(60) == Exit.BROKEN_PIPE


NOISY = """
    import ctypes, os, subprocess, sys
    import d2f
    from pydantic import BaseModel, ConfigDict

    class Noisy:
        name = "noisy"
        summary = "Prints in every way there is."
        wants = d2f.WholeImage()

        class Options(BaseModel):
            model_config = ConfigDict(extra="forbid", frozen=True)

        def __init__(self, options):
            pass

        def score(self, batch):
            print("python")
            os.write(1, b"descriptor\\n")
            libc = ctypes.CDLL(None)
            libc.puts(b"c code")
            libc.fflush(None)
            subprocess.run(["echo", "child"], check=True)
            return [0.5 for _ in batch]

    @d2f.hookimpl
    def d2f_detectors():
        return [Noisy]
    """


def test_standard_output_holds_rows_and_nothing_else_whatever_a_plugin_prints(toy: Toy) -> None:
    toy.distributions.add_plugin("noisy", dedent(NOISY))
    (toy.folder / "noisy.yaml").write_text(
        "d2f: 1\nname: noisy\ndetectors: [{use: noisy}]\n"
        "calibrate: {noisy/plain: {use: platt, with: {slope: 1, bias: 0}}}\n"
    )
    for number in range(3):
        toy.picture(f"photos/{number}.png")
    command = toy.command("noisy.yaml", "photos", "--format", "jsonl")
    done = subprocess.run(command, cwd=toy.folder, env=toy.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["verdict"] is not None for line in done.stdout.splitlines()] == [True] * 3
    for word in ("python", "descriptor", "c code", "child"):
        assert word in done.stderr


def test_rows_in_a_file_need_no_standard_output(toy: Toy) -> None:
    command = " ".join(f"'{word}'" for word in toy.command("toy.yaml", toy.picture("white.png"), "-o", "rows.jsonl"))
    done = subprocess.run(
        ["bash", "-c", f"{command} >&-"], cwd=toy.folder, env=toy.environment, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert b"1 image: " in done.stderr
    assert len((toy.folder / "rows.jsonl").read_text().splitlines()) == 1

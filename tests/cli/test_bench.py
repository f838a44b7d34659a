from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pyarrow.parquet
import pytest

from tests.cli.test_chain_fit import PLUGIN
from tests.unit.evaluate.toys import write_set

CHAIN = """\
d2f: 1
name: toy
detectors: [{id: noise, use: noise-level}]
calibrate: {noise/plain: {use: platt, with: {slope: -0.7, bias: 5.0}}}
"""
SLOW = PLUGIN.replace("return [float(", "import time; time.sleep(0.05 * len(batch)); return [float(")
RUN = "import sys; from d2f.cli.main import main; sys.exit(main())"


@pytest.fixture
def place(distributions, tmp_path):
    distributions.add_plugin("toy", PLUGIN)
    write_set(tmp_path / "set", 24, collections=6)
    (tmp_path / "toy.yaml").write_text(CHAIN, "utf-8")
    return tmp_path


def bench(distributions, place, *more, chain="toy.yaml"):
    return distributions.run("bench", str(place / chain), "--data", str(place / "set"), "--draws", "50", *more)


def test_bench_prints_figures_with_intervals(distributions, place):
    done = bench(distributions, place, "--protocol", "as-found", "--attack", "noise:2", "--limit", "40")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("40 images of ")
    assert lines[0].endswith("taken by seed 0: 20 real, 20 generated, 6 components")
    assert "source audit: format alone: AUC 0.500 [0.500, 0.500]: tells next to nothing" in done.stdout
    assert any(line.startswith("chain toy, digest ") for line in lines)
    assert any(line.startswith("area under the ROC curve ") and "[" in line for line in lines)
    assert any(line.startswith("noise:sigma=2") for line in lines)
    assert any(line.startswith("attack noise:sigma=2") for line in lines)


def test_the_grid_core_by_default_and_every_file(distributions, place):
    done = bench(distributions, place, "-o", str(place / "out"), "--limit", "20", "--thumbnails")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(place / "out")) == ["bench.json", "report.html", "report.md", "rows.parquet"]
    found = json.loads((place / "out/bench.json").read_text("utf-8"))
    names = [attack["name"] for attack in found["attacks"] if not attack["optional"]]
    assert names == [
        *("none", "wiener-7", "wiener-7+noise-2", "noise-5", "jpeg-60", "webp-80", "resize-0.5", "gaussian-blur-1"),
        *("hard", "grey", "scan", "messenger", "enlarge-4", "thumbnail-160", "caption", "shift"),
    ]
    rows = pyarrow.parquet.read_table(place / "out/rows.parquet").to_pylist()
    copies = len(found["attacks"])
    assert len(rows) == 20 * copies * 2
    assert {row["member"] for row in rows} == {"", "noise/plain"}
    assert {row["verdict"] for row in rows} <= {"generated", "real", "inconclusive"}
    again = bench(distributions, place, "-o", str(place / "out"))
    assert again.returncode == 2
    assert "already holds a bench" in again.stderr
    again = bench(distributions, place, "-o", str(place / "out"), "--resume")
    assert (again.returncode, "holds a finished bench" in again.stderr) == (2, True)
    again = bench(distributions, place, "-o", str(place / "out"), "--overwrite", "--grid", "none")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_damaged_file_is_told_and_ends_in_1(distributions, place):
    (place / "set/real/hands0/0.png").write_bytes(b"")
    done = bench(distributions, place, "--grid", "none")
    assert done.returncode == 1
    assert "1 images could not be read" in done.stdout


def test_several_chains_follow_each_other_and_are_compared(distributions, place):
    (place / "other.yaml").write_text(CHAIN.replace("name: toy", "name: other"), "utf-8")
    done = bench(distributions, place, str(place / "other.yaml"), "--grid", "none")
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("chain ")] == ["toy,", "other,"]
    assert "toy minus other: area under the ROC curve" in done.stdout


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--attack", "jpegg:60"), 2, "D2F111"),
        (("--grid", "huge"), 2, "D2F001"),
        (("--resume",), 2, "need -o"),
        (("-o", "x", "--resume", "--overwrite"), 2, "exclude each other"),
        (("--external", "nowhere.csv", "--grid", "none"), 2, "D2F002"),
    ],
)
def test_what_a_user_can_get_wrong(distributions, place, more, code, words):
    done = bench(distributions, place, *more)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_killed_and_continued_it_finds_what_an_uninterrupted_run_finds(distributions, place):
    (distributions.folder / "d2f_toy.py").write_text(SLOW, "utf-8")
    arguments = ["bench", "toy.yaml", "--data", "set", "--draws", "50", "--attack", "noise:2", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(distributions.folder)}
    for parts in (1, 2):
        more = ["-o", "killed", *(["--resume"] if parts > 1 else [])]
        command = [sys.executable, "-c", RUN, *arguments, *more]
        with subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE) as running:
            wait(lambda parts=parts: stored(place / "killed") > 8 * parts, running)
            running.kill()
        assert running.returncode == -signal.SIGKILL
    assert not (place / "killed/bench.json").exists()

    def run(*more):
        command = [sys.executable, "-c", RUN, *arguments, *more]
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)

    assert "already holds a bench" in run("-o", "killed").stderr
    done = run("-o", "killed", "--resume")
    assert done.returncode == 0, done.stderr
    assert "images read from the cache" in done.stdout
    assert run("-o", "whole").returncode == 0
    killed, whole = (json.loads((place / name / "bench.json").read_text("utf-8")) for name in ("killed", "whole"))
    assert 6 <= killed["speed"]["cached"] < 48
    for found in (killed, whole):
        del found["speed"]
    assert killed == whole
    tables = [pyarrow.parquet.read_table(place / name / "rows.parquet") for name in ("killed", "whole")]
    assert tables[0].equals(tables[1])


def test_interrupted_it_says_how_to_go_on(distributions, place):
    (distributions.folder / "d2f_toy.py").write_text(SLOW, "utf-8")
    arguments = ["bench", "toy.yaml", "--data", "set", "--attack", "noise:2", "--workers", "1", "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": str(distributions.folder)}
    command = [sys.executable, "-c", RUN, *arguments, "--overwrite"]
    with subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as running:
        wait(lambda: stored(place / "out") > 0, running)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == f"interrupted; to continue: d2f {' '.join(arguments)} --resume\n"


def stored(folder):
    """How many scores a bench under way has stored."""
    file = folder / "scores/rows.sqlite"
    if not file.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as rows:
            return rows.execute("SELECT count(*) FROM rows").fetchone()[0]
    except sqlite3.Error:  # not made yet
        return 0


def wait(until, running):
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.005)


def test_compare_ends_in_1_where_a_figure_fell(distributions, place):
    assert bench(distributions, place, "-o", str(place / "old"), "--attack", "noise:2").returncode == 0
    found = json.loads((place / "old/bench.json").read_text("utf-8"))
    value, low, _ = found["systems"][0]["figures"]["noise:sigma=2"]["auc"]

    def compare(new, *more):
        found["systems"][0]["figures"]["noise:sigma=2"]["auc"][0] = new
        (place / "new.json").write_text(json.dumps(found), "utf-8")
        return distributions.run("bench", "compare", str(place / "old"), str(place / "new.json"), *more)

    same = compare(value)
    assert (same.returncode, same.stdout) == (0, "0 of 2 figures fell by more than their interval\n")
    assert compare((value + low) / 2).returncode == 0
    fallen = compare(low - 0.001)
    assert fallen.returncode == 1
    assert fallen.stdout.splitlines()[1].split() == [
        *("toy,", "noise:sigma=2", "auc", f"{value:.3f}", f"{low:.3f}", f"{low - 0.001:.3f}", "fell"),
    ]
    assert compare(low - 0.001, "--figure", "ece").returncode == 0
    assert "D2F001" in compare(value, "--figure", "aux").stderr
    missing = distributions.run("bench", "compare", str(place / "old"), str(place / "nowhere"))
    assert (missing.returncode, "D2F002" in missing.stderr) == (2, True)


def test_external_scores_are_reported_beside_the_chain(distributions, place):
    names = sorted(path.relative_to(place / "set") for path in (place / "set").rglob("*.png"))
    lines = [f"{name},{'9' if name.parts[0] == 'generated' else '-9'}" for name in names]
    (place / "other.csv").write_text("\n".join(["path,score", *lines]), "utf-8")
    done = bench(distributions, place, "--grid", "none", "--external", str(place / "other.csv"))
    assert done.returncode == 0, done.stderr
    after = done.stdout.partition("other, external scores of 48 images\n")[2].splitlines()
    assert after[1].split()[-3:] == ["1.000", "[1.000,", "1.000]"]
    assert "toy minus other" in done.stdout


def test_help_loads_no_array_library(distributions):
    code = """
import sys
from d2f.cli.main import main
main(["bench", "--help"])
main(["bench", "compare", "--help"])
print(sorted({"numpy", "scipy", "PIL", "mlx"} & set(sys.modules)))
"""
    done = distributions.python(code)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--grid" in done.stdout
    assert "OLD NEW" in done.stdout

from __future__ import annotations

import signal

import pytest

from tests.unit.evaluate.toys import write_set

PLUGIN = """
import os
import signal
import numpy as np
import d2f
from pydantic import BaseModel, ConfigDict

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

class NoiseLevel:
    name = "noise-level"
    summary = "Standard deviation of neighbours' differences."
    Options = Options
    wants = d2f.WholeImage()
    def __init__(self, options):
        pass
    def score(self, batch):
        with open(os.environ.get("TOY_SHOWN", os.devnull), "a") as file:
            file.write("x" * len(batch))
        if os.environ.get("TOY_DIES") and os.path.getsize(os.environ["TOY_SHOWN"]) >= int(os.environ["TOY_DIES"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return [float(np.diff(pixels[..., 1].astype(float), axis=1).std()) for pixels in batch]

@d2f.hookimpl
def d2f_detectors():
    return [NoiseLevel]
"""
CHAIN = "d2f: 1\nname: toy\ndetectors:\n  - {use: noise-level}\ncombine: {use: logistic}\n"


@pytest.fixture
def place(distributions, tmp_path):
    distributions.add_plugin("toy", PLUGIN)
    write_set(tmp_path / "set", 24, collections=6)
    (tmp_path / "toy.yaml").write_text(CHAIN, "utf-8")
    return tmp_path


def fit(distributions, place, *more, **environment):
    arguments = (str(place / "toy.yaml"), "--data", str(place / "set"), "-o", str(place / "fitted.yaml"))
    return distributions.run("chain", "fit", *arguments, "--folds", "3", *more, **environment)


def test_fit_writes_a_chain_that_checks_and_prints_what_it_measured(distributions, place):
    done = fit(distributions, place, "--attack", "jpeg:60", "--attack", "noise:2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "48 images: 24 real, 24 generated, 6 components, each 3 times"
    assert lines[2].split() == ["member", "score", "slope", "AUC", "worst", "AUC", "under"]
    assert lines[3].startswith("noise-level/plain  falls")
    assert lines[-1] == f"wrote {place / 'fitted.yaml'}"
    assert done.stderr == ""
    checked = distributions.run("chain", "check", str(place / "fitted.yaml"))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_images_with_a_value_in_a_column_are_excluded_and_counted(distributions, place):
    done = fit(distributions, place, "--no-attack", "--exclude", "collection=hands1", "--exclude", "source=none")
    assert done.returncode == 0, done.stderr
    assert "note: 8 of 48 images excluded: collection=hands1" in done.stderr
    assert "note: 0 of 40 images excluded: source=none" in done.stderr
    assert done.stdout.splitlines()[0].startswith("40 images: 20 real, 20 generated, 5 components")


def test_leave_out_without_a_value_is_a_wrong_use(distributions, place):
    done = fit(distributions, place, "--exclude", "collection")
    assert done.returncode == 2
    assert "--exclude expects COLUMN=VALUE, not 'collection'" in done.stderr


def test_leave_out_by_a_column_that_no_image_has_is_a_wrong_use(distributions, place):
    done = fit(distributions, place, "--exclude", "collection=hands1", "--exclude", "camera=")
    assert done.returncode == 2
    expected = "--exclude: no image has a column 'camera'; there are label, generator, source, collection, group"
    assert expected in done.stderr


def test_thresholds_alone(distributions, place):
    assert fit(distributions, place, "--no-attack").returncode == 0
    arguments = ("--data", str(place / "set"), "-o", str(place / "own.yaml"), "--thresholds-only")
    done = distributions.run("chain", "fit", str(place / "fitted.yaml"), *arguments)
    assert done.returncode == 0, done.stderr
    assert "thresholds before:" in done.stdout
    text = (place / "own.yaml").read_text("utf-8")
    assert "protocol: as-found" in text
    # Another chain has another name: rows must not say that the old thresholds judged.
    assert "\nname: own\n" in text
    again = distributions.run(
        "chain", "fit", str(place / "fitted.yaml"), *arguments[:2], "-o", str(place / "toy2.yaml")
    )
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--attack", "jpegg:60"), 2, "D2F111"),
        (("--attack", "jpeg:60", "--no-attack"), 2, "exclude each other"),
        (("--folds", "2"), 2, "D2F001"),
        (("--calibrator", "plat"), 2, "D2F112"),
        (("--limit", "12"), 2, "D2F603"),
        (("--part", "chains", "--data", "nowhere"), 2, "D2F002"),
        (("-o", "no/such/folder/a.yaml"), 2, "make it with mkdir -p"),
    ],
)
def test_what_a_user_can_get_wrong(distributions, place, more, code, words):
    done = fit(distributions, place, *more)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_there_is_kept_unless_told_otherwise(distributions, place):
    (place / "fitted.yaml").write_text("mine", "utf-8")
    done = fit(distributions, place, "--no-attack")
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == [
        f"error[D2F004]: '{place / 'fitted.yaml'}' already exists",
        "   = to replace it: --overwrite",
    ]
    assert (place / "fitted.yaml").read_text("utf-8") == "mine"
    assert fit(distributions, place, "--no-attack", "--overwrite").returncode == 0
    assert (place / "fitted.yaml").read_text("utf-8").startswith("d2f: 1")


def test_a_damaged_file_is_told_and_ends_in_1(distributions, place):
    (place / "set/real/hands0/0.png").write_bytes(b"")
    done = fit(distributions, place, "--no-attack")
    assert done.returncode == 1
    assert "warning: 1 images could not be read" in done.stdout
    assert (place / "fitted.yaml").exists()


def test_a_fit_with_a_cache_continues_where_it_was_killed(distributions, place):
    arguments = ("--attack", "noise:2", "--workers", "1", "--overwrite")
    assert fit(distributions, place, *arguments).returncode == 0
    expected = (place / "fitted.yaml").read_bytes()
    shown = place / "shown"
    more = (*arguments, "--cache", str(place / "cache"))

    def keeping(**environment):
        shown.unlink(missing_ok=True)
        return fit(distributions, place, *more, TOY_SHOWN=str(shown), **environment)

    # 96 copies in all; those in flight when it is killed, 64 at most, are lost with it.
    assert keeping(TOY_DIES="80").returncode == -signal.SIGKILL
    assert keeping().returncode == 0
    assert (place / "fitted.yaml").read_bytes() == expected
    assert 96 - 80 <= shown.stat().st_size < 96
    assert keeping().returncode == 0
    assert not shown.exists()
    assert (place / "fitted.yaml").read_bytes() == expected


def ablate(distributions, place, *more, chain="toy.yaml"):
    arguments = (str(place / chain), "--data", str(place / "set"), "--folds", "3", "--draws", "20")
    return distributions.run("chain", "ablate", *arguments, *more)


def test_ablate_says_what_each_part_adds_and_a_fit_reads_its_scores_back(distributions, place):
    text = CHAIN.replace("detectors:", "views:\n  noisy: [{use: noise, with: {sigma: 90}}]\ndetectors:").replace(
        "{use: noise-level}", "{use: noise-level, views: [plain, noisy]}"
    )
    (place / "two.yaml").write_text(text, "utf-8")
    scores = ("--cache", str(place / "cache"), "--attack", "jpeg:60")
    output = ("-o", str(place / "table.md"))
    done = ablate(distributions, place, *scores, *output, chain="two.yaml")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "48 images: 24 real, 24 generated, 6 components, each 2 times"
    assert next(line for line in lines if line.startswith("member noise-level/plain")).endswith("adds")
    assert lines[-1] == f"wrote {place / 'table.md'}"
    assert "| member noise-level/noisy |" in (place / "table.md").read_text("utf-8")
    # The same scores serve a fit, and a second ablation.
    again = ("chain", "fit", str(place / "two.yaml"), "--data", str(place / "set"), "--folds", "3", *scores)
    done = distributions.run(*again, "-o", str(place / "again.yaml"), TOY_SHOWN=str(place / "shown"))
    assert done.returncode == 0, done.stderr
    assert not (place / "shown").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("-o", "table.txt"), "-o expects a file that ends in .md or .json"),
        (("-o", "no/such/folder/a.md"), "make it with mkdir -p"),
        (("--draws", "1"), "D2F001"),
    ],
)
def test_what_an_ablation_is_refused_for_comes_before_the_work(distributions, place, more, words):
    done = ablate(distributions, place, "--no-attack", *more)
    assert done.returncode == 2
    assert words in done.stderr


def test_collections_outside_the_list_are_said(distributions, place):
    done = fit(distributions, place, "--part", "weights", "--no-attack")
    assert "6 collections are not in the list, such as 'hands0': by a hash" in done.stderr


def test_help_loads_no_array_library(distributions):
    code = """
import sys
from d2f.cli.main import main
main(["chain", "fit", "--help"])
print(sorted({"numpy", "scipy", "PIL", "mlx"} & set(sys.modules)))
"""
    done = distributions.python(code)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--thresholds-only" in done.stdout

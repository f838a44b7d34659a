"""A disk that fills up in the middle of a run: a clear error, nothing half-written, and the run goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from d2f.api.errors import D2FError
from d2f.train.run import SilentWatcher
from tests.full_disk import fill, make_room
from tests.unit.train.network_toys import recipe, trained, write_pictures
from tests.unit.train.test_network import lines

WANTED = recipe(epochs=3, checkpoint=1, measure=["jpeg:60"])


@pytest.fixture(autouse=True)
def room_at_last() -> Iterator[None]:
    yield
    make_room()


class Filler(SilentWatcher):
    """Fills the disk at a moment: the call of a method, by its number."""

    def __init__(self, method: str, number: int) -> None:
        self.moment, self.left = method, number

    def _heard(self, method: str) -> None:
        self.left -= method == self.moment
        if not self.left:
            fill()

    def say(self, line: str) -> None:
        self._heard("say: " + line.partition(":")[0])

    def step(self, *_: Any) -> None:
        self._heard("step")

    def epoch(self, *_: Any) -> None:
        self._heard("epoch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    write_pictures(folder / "set")
    trained(folder, "whole", WANTED)
    return folder


@pytest.mark.parametrize(
    ("moment", "number", "named"),
    [
        ("say: training", 1, "run/recipe.json"),
        ("step", 1, "run/last.safetensors"),
        ("step", 4, "run/log.jsonl"),
        ("epoch", 1, "run/best.safetensors"),
        ("epoch", 3, "run/best.safetensors"),
        ("say: measures jpeg", 1, ".safetensors"),
    ],
)
def test_a_full_disk_is_told_and_the_run_goes_on(folder: Path, moment: str, number: int, named: str) -> None:
    name = f"full-{moment.split()[-1]}-{number}"
    with pytest.raises(D2FError) as caught:
        trained(folder, name, WANTED, Filler(moment, number))
    make_room()
    (problem,) = caught.value.problems
    assert problem.code == "D2F004"
    assert f"{name}.{named.lstrip('.')}' cannot be written: File too large" in problem.message
    assert not [path for path in folder.rglob(f"{name}*/*") if path.name.endswith((".part", ".tiles"))]
    assert not list(folder.glob(f"{name}.safetensors*"))
    trained(folder, name, WANTED, resume=True)
    for suffix in (".safetensors", ".npz"):
        assert (folder / f"{name}{suffix}").read_bytes() == (folder / f"whole{suffix}").read_bytes()
    assert lines(folder / f"{name}.run") == lines(folder / "whole.run")


def test_tiles_that_have_no_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("d2f.train.tiles.TileCache.__init__.__defaults__", (0, 2**30))
    with pytest.raises(D2FError, match=r"training-0.tiles' cannot be written: File too large"):
        trained(folder, "tiles", WANTED, Filler("say: training", 1))
    make_room()
    assert not list((folder / "tiles.run").glob("*.tiles"))

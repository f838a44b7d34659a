"""`d2f chain run --engine ray`: the rows of the local engine, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import d2f
from d2f.api.errors import Exit
from d2f.chain.engines import ChainRecipe, Job, find_engine
from d2f.chain.result import failed_row, worker_arguments
from d2f.cli.main import main
from d2f.images.memory import InMemory
from d2f.images.walk import Listing
from tests.cli.test_processes import PLUGIN as NASTY
from tests.cli.toy import COLOURS, Toy, toy
from tests.ray_cluster import ray_cluster
from tests.stores import put, s3_server

__all__ = ["toy"]

pytest.importorskip("ray")
RayError: Any = pytest.importorskip("ray.exceptions").RayError
ray_engine: Any = pytest.importorskip("d2f.chain.ray_engine")
pytestmark = pytest.mark.filterwarnings("ignore")


class EndsItsProcess:
    """What ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


@pytest.fixture
def cluster(toy: Toy) -> Iterator[None]:
    """A cluster on this machine that sees the toy plugin."""
    toy.distributions.add_plugin("nasty", NASTY)
    with s3_server(), ray_cluster(toy.environment["PYTHONPATH"]):
        yield


def actors() -> list[int]:
    """Return the processes of the actors."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if place.read_bytes().startswith(b"ray::RowActor"):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def test_rows_are_those_of_one_machine_and_deaths_cost_time_or_scores_only(toy: Toy, cluster: None) -> None:
    for number in range(150):
        toy.picture(f"photos/{number:03}.png", list(COLOURS)[number % len(COLOURS)])
    (toy.folder / "photos/050.png").write_bytes(b"no image")
    slow = toy.slow(0.01)
    listed = main(["chain", "run", slow, "photos", "-o", "local.jsonl", "--workers", "1", "-q"])
    assert listed == Exit.SOME_FAILED

    # One actor is killed at a random moment, then the run is cut and continued.
    done = threading.Event()

    def kill() -> None:
        while not (found := actors()) and not done.wait(0.05):
            pass
        time.sleep(random.Random(1).random())
        if found:
            os.kill(found[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert main(["chain", "run", slow, "photos", "--engine", "ray", "-o", "ray.jsonl", "-q"]) == Exit.SOME_FAILED
    done.set()
    killer.join()
    whole = Path("local.jsonl").read_bytes()
    assert Path("ray.jsonl").read_bytes() == whole

    Path("ray.jsonl").write_bytes(whole[: len(whole) // 3])
    again = ["chain", "run", slow, "photos", "--engine", "ray", "--workers", "1", "-o", "ray.jsonl", "--resume", "-q"]
    assert main(again) == Exit.SOME_FAILED
    assert Path("ray.jsonl").read_bytes() == whole

    # Out of an object store.
    urls = [put(f"in/{name}", (toy.folder / "photos" / name).read_bytes()) for name in ("001.png", "050.png")]
    in_store = ["chain", "run", "toy.yaml", "s3://photos/in", "--engine", "ray", "--workers", "1", "-o", "store.jsonl"]
    assert main([*in_store, "-q"]) == Exit.SOME_FAILED
    found = [json.loads(line) for line in Path("store.jsonl").read_text("utf-8").splitlines()]
    assert [(row["path"], row["verdict"]) for row in found] == [(urls[0], "real"), (urls[1], None)]

    # What ends an actor twice has a row.
    chain = d2f.load_chain("toy.yaml")
    recipe = ChainRecipe(worker_arguments(chain), os.getcwd())
    sources = [InMemory("poison", EndsItsProcess())]
    (row,) = find_engine("ray")(Job(recipe, sources, 1, lambda event: None, partial(failed_row, chain)))
    assert (row.path, row.error and row.error.code, row.verdict) == ("poison", "D2F411", None)

    # A stage that crashes costs its scores, as it does in a worker process.
    text = "d2f: 1\nname: nasty\ndetectors:\n  - {id: nasty, use: nasty}\n"
    Path("nasty.yaml").write_text(text, "utf-8")
    for number, colour in enumerate([0, 3, 0]):
        toy.picture(f"bad/{number}.png", (colour, 10, 10))
    rows = list(d2f.load_chain("nasty.yaml").run("bad", engine="ray", listing=Listing()))
    assert [row.stages[0].score is None for row in rows] == [False, True, False]
    assert rows[1].missing[0].reason.startswith("D2F411") or rows[1].stages[0].error is not None


class TinyCluster:
    """As much of Ray as the engine uses: an actor that is given a lot with "poison" dies with all lots it has."""

    def __init__(self) -> None:
        self.lots: dict[int, tuple[object, list[str]]] = {}

    def remote(self, kind: type) -> Any:
        return SimpleNamespace(options=lambda **settings: SimpleNamespace(remote=self.actor))

    def actor(self, recipe: object) -> Any:
        actor = SimpleNamespace()
        actor.rows = SimpleNamespace(remote=partial(self.give, actor))
        return actor

    def give(self, actor: object, sources: list[str]) -> int:
        answer = len(self.lots)
        self.lots[answer] = actor, sources
        return answer

    def wait(self, answers: list[int], num_returns: int, timeout: float | None = None) -> tuple[list[int], list[int]]:
        return answers, []

    def get(self, answer: int) -> tuple[list[str], list[object]]:
        actor, sources = self.lots[answer]
        if any("poison" in lot for one, lot in self.lots.values() if one is actor):
            raise RayError("the actor died")
        return sources, []

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def kill(self, actor: object) -> None:
        """Nothing holds it."""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [2, 33, 100])
def test_the_neighbour_of_what_ends_an_actor_has_its_own_row(
    monkeypatch: pytest.MonkeyPatch, workers: int, count: int
) -> None:
    monkeypatch.setattr(ray_engine, "ray", TinyCluster())
    for place in (0, count // 2, count - 1):
        sources = [str(number) for number in range(count)]
        sources[place] = "poison"
        job: Any = SimpleNamespace(
            recipe=None, sources=sources, workers=workers, failed=lambda source, failure: (source, failure.code)
        )
        expected: list[Any] = [*sources]
        expected[place] = ("poison", "D2F411")
        assert list(ray_engine.rows(job)) == expected

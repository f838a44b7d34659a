"""The page of speeds is joined from measurements, and says itself which goals they meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.speed import data
from tests.benchmarks.speed.cases import Case, all_cases
from tests.benchmarks.speed.goals import judged
from tests.benchmarks.speed.networks import Network, convolutions, shipped
from tests.benchmarks.speed.profile import shares
from tests.benchmarks.speed.report import report
from tests.docs.pages import DOCS

RESNET_18 = ("resnet", '{"depth": 18}', 224)


def record(
    what: tuple[Any, ...],
    work: str,
    times: dict[str, list[float]],
    name: str = "ResNet-18",
    batch: int = 1,
    **more: Any,
) -> dict[str, Any]:
    case = vars(Case("network", what, work, batch, name, more.pop("shipped", False)))
    held = {engine: {"wall": [2 * one for one in found], "cpu": found} for engine, found in times.items()}
    rest = {"date": "2026-11-21", "machine": "a machine", "missing": "", "difference": {"d2f": 2e-6}}
    return {"case": case, "cores": 1, "times": held, "convolutions": []} | rest | more


def test_goals_are_judged_by_the_median_of_the_rounds_ratios() -> None:
    met = record(RESNET_18, "inference", {"d2f": [1.1, 9.0, 1.3], "torch": [1.0, 1.0, 1.1]})
    missed = record(RESNET_18, "training step", {"d2f": [1.6, 1.7, 1.5], "torch": [1.0, 1.0, 1.0]}, name="net")
    lines = judged([met, missed]).splitlines()
    assert lines == [
        "- **Not measured**: inference of the networks that ship: at most 1.0 of PyTorch's time.",
        "- **Met**: inference of ResNet-18: at most 1.2 (in the one case).",
        "- **Missed** in 1 of 1 case: a training step: at most 1.5. Missed by net, training step, batch 1 (1.60).",
        "- **Not measured**: the bare wheel beaten tenfold.",
    ]


def test_two_cores_are_judged_by_the_wall_unless_the_machine_was_shared() -> None:
    times = {"d2f": {"wall": [1.0], "cpu": [3.0]}, "torch": {"wall": [1.0], "cpu": [2.0]}}
    quiet = record(RESNET_18, "inference", {}, shipped=True) | {"cores": 2, "times": times}
    assert judged([quiet]).startswith("- **Met**")
    times["torch"]["wall"] = [4.0]
    assert judged([quiet]).startswith("- **Missed**")


def test_the_page_joins_what_was_measured_at_different_times() -> None:
    early = record(RESNET_18, "inference", {"d2f": [0.002] * 3, "torch": [0.001] * 3}, date="2026-01-02")
    late = record(("own", "{}", 96), "inference", {"d2f": [0.003]}, name="own", missing="no counterpart")
    neither = record(("own", "{}", 96), "training step", {}, name="own", missing="more than one picture is needed")
    page = report([early, late, neither], ["network a, inference, batch 1, 1 core"])
    assert (
        "| ResNet-18 | inference | 1 | 2.00 | 1.00 | 2.00 (2.00–2.00) | 2.00 (2.00–2.00) | 2026-01-02 | 2.0 |" in page
    )
    assert "| own | inference | 1 | 3.00 | no counterpart |" in page
    assert "| own | training step | 1 |  | more than one picture is needed |" in page
    assert "Not measured yet (1): network a, inference, batch 1, 1 core." in page


def test_of_two_measurements_of_a_case_the_newer_counts(tmp_path: Path) -> None:
    file = tmp_path / "measured.jsonl"
    for seconds in (1.0, 2.0):
        data.add(file, record(RESNET_18, "inference", {"d2f": [seconds]}))
    data.add(file, record(RESNET_18, "inference", {}) | {"shares": {"products": 100.0}})
    with file.open("a") as opened:
        opened.write('{"case": {"kind": "netw')  # The process was killed there.
    kept = data.read(file)
    assert [one.get("times", {}).get("d2f", {}).get("cpu") for one in kept.values()] == [[2.0], None]
    data.tidy(file, kept.values())
    assert data.read(file) == kept


PERF = """
# Overhead  Shared Object               Symbol
    40.00%  libscipy_openblas.so        [.] sgemm_kernel_SKYLAKEX
    10.00%  libscipy_openblas.so        [.] sgemm_oncopy_SKYLAKEX
    20.00%  libmlx.so                   [.] mlx::core::(anonymous namespace)::copy_general_general<float, float>
    10.00%  libmlx.so                   [.] mlx::core::binary_op<float, float, mlx::core::detail::Maximum>
     4.00%  libmlx.so                   [.] mlx::core::eval_impl
     6.00%  libpython3.11.so.1.0        [.] _PyEval_EvalFrameDefault
     5.00%  libc.so.6                   [.] _int_malloc
     5.00%  [kernel.kallsyms]           [k] clear_page_erms
"""


def test_functions_are_told_apart_by_the_work_they_do() -> None:
    assert shares(PERF) == {
        "products": 40.0,
        "packing for products": 10.0,
        "copies and padding": 20.0,
        "elementwise and sums": 10.0,
        "memory from the system": 5.0,
        "memory from malloc": 5.0,
        "Python": 6.0,
        "MLX's graph and dispatch": 4.0,
    }  # fmt: skip


def test_a_networks_convolutions_are_found_by_running_it() -> None:
    found = convolutions(Network("resnet", json.dumps({"depth": 20, "stem": "early"})))
    assert found == {
        (224, 3, 16, 4, 4, 0): 1,
        (56, 16, 16, 3, 1, 1): 6,
        (56, 16, 32, 3, 2, 1): 1,
        (28, 32, 32, 3, 1, 1): 5,
        (28, 32, 64, 3, 2, 1): 1,
        (14, 64, 64, 3, 1, 1): 5,
    }


def test_networks_that_ship_are_found_by_their_weights() -> None:
    cases = all_cases()
    for name, network in shipped().items():
        mine = [case for case in cases if case.shipped and case.what == tuple(network)]
        assert {case.name for case in mine} == {name}
        assert sorted((case.work, case.batch) for case in mine) == [
            (work, batch) for work in ("inference", "training step") for batch in (1, 16)
        ]
    assert any(network.trainable == "resnet" for network in shipped().values())
    assert len(cases) == len({data.key(case, 1) for case in cases})


def test_the_page_says_what_the_kept_measurements_say() -> None:
    kept = [one for one in data.in_order(all_cases(), data.read(data.FILE)) if one.get("times")]
    said = (DOCS / "reference" / "speed.md").read_text("utf-8")
    assert judged(kept) in said, "run: python -m tests.benchmarks.speed --cores '' -o docs/reference/speed.md"

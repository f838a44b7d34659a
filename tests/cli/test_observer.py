"""The example observer of docs/how-to/watch-a-run.md writes what Prometheus reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.toy import Toy, toy

__all__ = ["toy"]

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/how-to/prometheus-observer/d2f_prometheus_file.py"


def test_the_example_counts_every_stage(toy: Toy) -> None:
    toy.distributions.add_plugin("d2f_prometheus_file", EXAMPLE.read_text("utf-8"))
    for number in range(5):
        toy.picture(f"photos/{number}.png", (number, number, number))
    place = toy.folder / "d2f.prom"
    environment = {**toy.environment, "D2F_PROMETHEUS_FILE": str(place)}
    command = toy.command("toy.yaml", "photos", "--workers", "2", "-o", "rows.jsonl", "-q")
    subprocess.run(command, cwd=toy.folder, env=environment, check=True, timeout=120)
    lines = place.read_text("utf-8").splitlines()
    assert lines[:2] == [
        "# HELP d2f_stage_images_total Images that a stage has worked on.",
        "# TYPE d2f_stage_images_total counter",
    ]
    assert 'd2f_stage_images_total{kind="decode",name="decode",view=""} 5' in lines
    assert 'd2f_stage_images_total{kind="detector",name="light",view="negative"} 5' in lines
    assert any(line.startswith('d2f_stage_seconds_total{kind="detector",name="hue"') for line in lines)

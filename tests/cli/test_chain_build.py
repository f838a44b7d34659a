"""`d2f chain build` from end to end: a tiny seeded tower of each architecture, a set made by arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f.chain.chain import load_chain
from d2f.cli.main import main
from tests.plugins.tiny_towers import tiny_tower

CHAIN = """d2f: 1
name: base
description: A probe.
detectors:
  - {id: clip, use: clip-probe}
combine: {use: logistic}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten collections of both labels: generated ones are noisier, so that any network sees it."""
    folder, random = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for number in range(80):
        generated = number % 2
        place = folder / ("generated/toy" if generated else "real") / f"source-{number // 2 % 10}"
        place.mkdir(parents=True, exist_ok=True)
        noise = random.normal(0, random.uniform(30, 50) if generated else random.uniform(0, 8), (96, 96, 3))
        ramp = np.linspace(60, 190, 96)[None, :, None] + random.uniform(-20, 20, 3)
        Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8)).save(place / f"{number}.png")
    return folder


def build(folder: Path, pictures: Path, tower: str, *more: str) -> int:
    (folder / "base.yaml").write_text(CHAIN)
    given = ["chain", "build", str(folder / "base.yaml"), "--tower", tower, "--data", str(pictures)]
    return main([*given, "-o", str(folder / "mine.yaml"), "--attack", "jpeg:60", "--draws", "50", *more])


@pytest.mark.parametrize("name", ["clip-vitl14", "siglip2-vitb16", "dinov2-vitb14", "dinov3-vitb16", "pe-vitb16"])
def test_from_a_tower_to_a_chain_that_judges(
    name: str,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tower = f"{name}={tiny_tower(name, tmp_path, monkeypatch)}"
    assert build(tmp_path, pictures, tower) == 0
    out, err = capsys.readouterr()
    assert (tmp_path / "mine.safetensors").is_file()
    made = load_chain(tmp_path / "mine.yaml")
    assert made.file.fitted is not None
    assert made.file.fitted.oof_weights is not None
    card = (tmp_path / "mine.md").read_text("utf-8")
    assert made.digest in card
    assert "passes of the tower" in err
    assert "wrote" in out
    # The held-out collections are not among those that the head was fitted to.
    fitted, held = ((tmp_path / "mine.build" / f"{part}.csv").read_text() for part in ("fitted", "held-out"))
    sources = [{line.split(",")[3] for line in text.splitlines()[1:]} for text in (fitted, held)]
    assert not sources[0] & sources[1]
    noisy = next((pictures / "generated").rglob("*.png"))
    assert next(iter(made.run([str(noisy)], workers=1))).probability is not None

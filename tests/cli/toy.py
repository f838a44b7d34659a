"""A toy chain made of stages from a real distribution, and pictures whose verdicts are known.

White pictures are `generated`, black ones `real`, grey ones `inconclusive`. A red picture makes one detector
raise, and a blue one makes it abstain.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.distributions import Distributions

PLUGIN = """
    import time

    import d2f
    from pydantic import BaseModel, ConfigDict, Field

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

    class Slow(Options):
        seconds: float = Field(0.0, ge=0.0, description="Rest before each image.")

    class Light:
        name = "toy-light"
        summary = "How bright a picture is, 0 to 1."
        Options = Slow
        wants = d2f.WholeImage()

        def __init__(self, options):
            self.options = options

        def score(self, batch):
            time.sleep(self.options.seconds * len(batch))
            return [d2f.Score(float(pixels.mean()) / 255) for pixels in batch]

    class Hue:
        name = "toy-hue"
        summary = "Whether a picture has no colour; fears red, knows nothing of blue."
        Options = Options
        wants = d2f.WholeImage()

        def __init__(self, options):
            pass

        def score(self, batch):
            return [self._one(*map(int, pixels[0, 0])) for pixels in batch]

        def _one(self, red, green, blue):
            if blue > green:
                return d2f.Abstention("it is blue")
            if red > green:
                raise ValueError("it is red")
            return d2f.Score(0.25, evidence="no colour at all")

    class Invert:
        name = "toy-invert"
        summary = "The negative."
        Options = Options

        def __init__(self, options):
            pass

        def apply(self, pixels, seed):
            return 255 - pixels

    class Fault(Invert):
        name = "toy-fault"
        summary = "Raises."

        def apply(self, pixels, seed):
            raise ValueError("a fault")

    @d2f.hookimpl
    def d2f_detectors():
        return [Light, Hue]

    @d2f.hookimpl
    def d2f_preprocessors():
        return [Invert, Fault]
    """

CHAIN = """\
d2f: 1
name: toy
views:
  negative: [{use: toy-invert}]
detectors:
  - {id: light, use: toy-light, views: [plain, negative], with: {seconds: SECONDS}}
  - {id: hue, use: toy-hue}
calibrate:
  light/plain: {use: platt, with: {slope: 8.0, bias: -4.0}}
  light/negative: {use: platt, with: {slope: -4.0, bias: 2.0}}
  hue/plain: {use: platt, with: {slope: 1.0, bias: -0.5}}
combine: {use: logit-mean}
"""

COLOURS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (130, 130, 130),
    "red": (200, 60, 60),
    "blue": (60, 60, 200),
}
MAIN = "import sys; from d2f.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Toy:
    """A folder with ``toy.yaml`` in it, and what runs d2f there."""

    folder: Path
    distributions: Distributions

    def picture(self, name: str, colour: str | tuple[int, int, int] = "white") -> Path:
        """Write a picture of one colour."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fill = COLOURS[colour] if isinstance(colour, str) else colour
        Image.new("RGB", (16, 12), fill).save(path, "PNG")
        return path

    def slow(self, seconds: float, name: str = "slow.yaml") -> str:
        """Write a chain that rests before each image; return its file's name."""
        (self.folder / name).write_text(CHAIN.replace("SECONDS", str(seconds)), "utf-8")
        return name

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to see the distribution."""
        path = [str(self.distributions.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "COLUMNS": "100"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of ``d2f chain run``."""
        return [sys.executable, "-c", MAIN, "chain", "run", *arguments]


@pytest.fixture
def toy(distributions: Distributions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Install the toy plugin, and work in a folder that holds the toy chain."""
    distributions.add_plugin("toy", PLUGIN)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Toy(folder, distributions)
    made.slow(0.0, "toy.yaml")
    return made

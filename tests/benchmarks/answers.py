"""What a loaded chain costs a program: the overhead of a call, and an explanation of a picture of 12 megapixels.

`python -m tests.benchmarks.answers fast deep` prints, for each chain, in processor time of this process:

- of `chain.judge` on a 512x512 picture, as an array and as the path of a JPEG: the stages, reading and decoding, and
  all else, which is the overhead (the median of `--calls` calls after one that is not counted);
- of an explanation of a 4000x3000 JPEG, its page and its record: without a map, with the map `tiles`, and with both;
  once each, with the time on the wall beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from d2f import Chain, load_chain
from d2f.explain import explain_image
from d2f.explain.explain import MapChoice
from d2f.images import memory
from d2f.testing.pictures import camera_picture
from tests.benchmarks.run_shares import METHODS, Shares

MAPS: tuple[MapChoice, ...] = ("none", "tiles", "both")
LARGE = 3000, 4000
TILED = 500
"""Side of the drawn picture that the large one is made of, in pixels."""


def large_picture() -> Image.Image:
    """Return a picture of 12 megapixels with detail at every scale."""
    whole = Image.fromarray(camera_picture(600, 800, 1)).resize(LARGE[::-1], Image.Resampling.BICUBIC)
    part = Image.fromarray(camera_picture(TILED, TILED, 2))
    for top in range(0, LARGE[0], TILED):
        for left in range(0, LARGE[1], TILED):
            box = (left, top, left + TILED, top + TILED)
            whole.paste(Image.blend(whole.crop(box), part, 0.3), box)
    return whole


def overheads(chain: Chain, images: dict[str, Any], calls: int) -> Iterator[str]:
    """Yield in words what a call costs beside its stages and its picture, for each kind of image."""
    shares = Shares()
    for label, stage in chain.plan.stages:
        method = METHODS.get(label.partition(" ")[0], "read")
        setattr(stage, method, shares.timed("stages", getattr(stage, method)))
    memory.load = shares.timed("picture", memory.load)
    judge = shares.timed("overhead", chain.judge)
    for kind, image in images.items():
        found = []
        for _ in range(calls + 1):
            shares.seconds.clear()
            assert judge(image).probability is not None, "the picture is refused: its detectors did not run"
            found.append(dict(shares.seconds))
        median = {part: 1000 * statistics.median(one[part] for one in found[1:]) for part in sorted(found[1])}
        yield f"{kind}: " + ", ".join(f"{part} {spent:.2f} ms" for part, spent in median.items())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.answers", description=__doc__)
    parser.add_argument("chains", nargs="+")
    parser.add_argument("--calls", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.jpg", Path(folder) / "large.jpg"
        pixels = camera_picture(512, 512, 0)
        Image.fromarray(pixels).save(small, quality=90)
        large_picture().save(large, quality=90)
        for name in given.chains:
            chain = load_chain(name)
            for words in overheads(chain, {"array": pixels, "path": small}, given.calls):
                print(f"{name}: judge of a 512x512 {words}")
            chain = load_chain(name)
            for maps in MAPS:
                wall, begun = time.perf_counter(), time.process_time()
                one = explain_image(chain, large, maps=maps)
                one.save(Path(folder) / "report.html")
                spent, wall = time.process_time() - begun, time.perf_counter() - wall
                words = f"{spent:.1f} s of processor time, {wall:.1f} s on the wall, {len(one.maps)} maps"
                print(f"{name}: explanation of 12 megapixels, maps {maps}: {words}")


if __name__ == "__main__":
    main()

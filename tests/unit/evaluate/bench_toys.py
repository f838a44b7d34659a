"""A fitted toy chain, a detector of the file format, and benches over small sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from d2f_crop import Crop
from d2f_everyday.stages import Caption, Enlarge, Messenger, Scan, Shift, Thumbnail
from d2f_greyscale import Greyscale
from d2f_median import Median
from d2f_resize import Resize
from d2f_webp import Webp
from d2f_wiener.stage import Wiener

from d2f import FileBytes, NoOptions
from d2f.chain.chain import Chain
from d2f.data.dataset import Dataset
from d2f.evaluate.attacks import attack_set
from d2f.evaluate.bench import BenchRun, BenchSettings, result, run_chains
from tests.unit.evaluate.toys import toy_chain

EVERYDAY = (Caption, Enlarge, Messenger, Scan, Shift, Thumbnail)
ALL = (Crop, Greyscale, Median, Resize, Webp, Wiener, *EVERYDAY)
CHAIN = """\
d2f: 1
name: toy
detectors: [{id: noise, use: noise-level}]
calibrate: {noise/plain: {use: platt, with: {slope: -0.7, bias: 5.0}}}
verdict: {real_below: 0.3, generated_above: 0.7}
"""
FORMAT_CHAIN = CHAIN.replace("noise-level", "file-format").replace("slope: -0.7, bias: 5.0", "slope: 4.0, bias: -2.0")


class FileFormat:
    """Reads the format and nothing else."""

    name = "file-format"
    summary = "A toy."
    Options = NoOptions
    wants = FileBytes()

    def __init__(self, options):
        pass

    def score(self, batch):
        return [float(image.data.startswith(b"\x89PNG")) for image in batch]


def chain(folder: Path, text: str = CHAIN, *more: type) -> Chain:
    folder.mkdir(exist_ok=True)
    return toy_chain(folder, text, False, *ALL, *more)


def bench(
    chains: list[Chain], images: Dataset, attacks: tuple[str, ...] = (), protocol: str = "as-found", **more: Any
) -> tuple[BenchRun, dict[str, Any]]:
    chosen = attack_set("none", attacks, chains[0].catalog)
    run = run_chains(chains, images, chosen.attacks, protocol, cache=more.pop("cache", None), workers=1)
    return run, result(run, chains, BenchSettings(protocol, chosen, **{"draws": 50, "whole": images, **more}))

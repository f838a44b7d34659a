"""Write plugins/d2f_everyday/photographs.py: the mean histogram and the mean spectrum of a set's photographs.

    python docs/make_everyday.py $D2F_DATA/train

Every collection counts alike. The spectrum is that of pictures at the scale of their camera (form `crop`).
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from d2f_everyday.remaking import radial_spectrum
from numpy.typing import NDArray
from PIL import Image

TARGET = Path(__file__).resolve().parents[1] / "plugins" / "d2f_everyday" / "photographs.py"
STEPS = 32

TEXT = '''"""Mean statistics of photographs, each collection alike; written by docs/make_everyday.py."""

from __future__ import annotations


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())


QUANTILES = (
{quantiles})
"""Levels of red, green and blue under which 0/{steps}, 1/{steps}, … of the pixels lie: {photographs} photographs."""

SPECTRUM = _numbers(
{spectrum})
"""Mean amplitude of the luma in rings of radial frequency, over that up to 0.06 cycles a pixel: {crops} photographs."""
'''


def quantiles(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the quantiles of each channel, shape (3, STEPS + 1)."""
    return np.quantile(pixels.reshape(-1, 3), np.linspace(0, 1, STEPS + 1), axis=0).T


def spectrum(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the radial spectrum of the luma as `d2f_everyday.remaking.spectrum_transfer` measures it."""
    height, width = pixels.shape[:2]
    luma = np.pad(pixels @ np.array([0.299, 0.587, 0.114]), ((0, height), (0, width)), mode="symmetric")
    radius = np.hypot(np.fft.fftfreq(2 * height)[:, None], np.fft.rfftfreq(2 * width)[None, :])
    return radial_spectrum(np.abs(np.fft.rfft2(luma)), radius)


def mean_by_collection(found: dict[str, list[NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Return the mean of the collections' means."""
    return np.mean([np.mean(values, axis=0) for values in found.values()], axis=0)


def lines(values: NDArray[np.float64], digits: int) -> str:
    """Return numbers as lines of text in quotes, twelve a line."""
    words = [f"{value:.{digits}f}" for value in values]
    return "".join(f'    "{" ".join(words[at : at + 12])} "\n' for at in range(0, len(words), 12))


def main(root: Path) -> None:
    """Read the set's photographs and write the module."""
    levels: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    spectra: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for row in csv.DictReader((root / "manifest.csv").open(encoding="utf-8")):
        if row["label"] != "real":
            continue
        with Image.open(root / row["path"]) as image:
            pixels = np.asarray(image.convert("RGB"))
        levels[row["collection"]].append(quantiles(pixels))
        if row["form"] == "crop":
            spectra[row["collection"]].append(spectrum(pixels))
    parts = [f"    _numbers(\n{lines(channel, 1)}    ),\n" for channel in mean_by_collection(levels)]
    text = TEXT.format(
        quantiles="".join(parts),
        steps=STEPS,
        photographs=sum(map(len, levels.values())),
        spectrum=lines(mean_by_collection(spectra), 4),
        crops=sum(map(len, spectra.values())),
    )
    TARGET.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

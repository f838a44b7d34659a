"""Write wiener2.npz with GNU Octave and its image package: `python tests/plugins/golden/make_wiener2.py`.

Octave is given a seeded plane and computes; nothing of d2f is imported.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

HERE = Path(__file__).resolve().parent
WINDOWS = {"3x3": (3, 3), "7x7": (7, 7), "3x5": (3, 5), "2x2": (2, 2), "4x3": (4, 3), "6x6": (6, 6), "17x17": (17, 17)}
NOISE = {"estimated": None, "given": 0.004}


def plane() -> np.ndarray:
    """Return a smooth wave, an edge and noise, shape (29, 27), float64 in [0, 1]."""
    generator = np.random.default_rng(20261121)
    down, across = np.mgrid[0:29, 0:27]
    wave = 0.5 + 0.2 * np.sin(across / 5.0) * np.cos(down / 7.0) + 0.2 * (across > 15)
    return np.clip(wave + 0.05 * generator.standard_normal(wave.shape), 0.0, 1.0)


def script(folder: Path) -> str:
    """Return the Octave program: every window and noise on the real plane and on the 8-bit one."""
    lines = ["pkg load image;", f"load('{folder}/in.mat');", "out = struct();"]
    for name, (rows, columns) in WINDOWS.items():
        for how, noise in NOISE.items():
            rest = "" if noise is None else f", {noise}"
            for sort in ("real", "bytes"):
                lines.append(f"out.{sort}_{how}_{name} = wiener2({sort}, [{rows} {columns}]{rest});")
    return "\n".join([*lines, f"save('-v7', '{folder}/out.mat', '-struct', 'out');", "disp(version);"])


def main() -> None:
    """Run Octave and keep what it says."""
    real = plane()
    levels = np.round(real * 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        savemat(folder / "in.mat", {"real": real, "bytes": levels})
        (folder / "run.m").write_text(script(folder), "utf-8")
        subprocess.run(["octave", "--no-gui", "--quiet", str(folder / "run.m")], check=True)
        out = {key: value for key, value in loadmat(folder / "out.mat").items() if not key.startswith("__")}
    np.savez_compressed(HERE / "wiener2.npz", real=real, bytes=levels, **out)


if __name__ == "__main__":
    main()

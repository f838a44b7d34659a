"""How much faster wiener2 is than SciPy's: `python -m tests.benchmarks.wiener`, from the top of the repository.

Process time, the least of several runs, on a plane of 1024x1024. Ratios within one run hold on a busy machine,
seconds do not.
"""

from __future__ import annotations

import numpy as np
from d2f_wiener.filter import wiener2
from d2f_wiener.levels import wiener2_levels, wiener2_rounded
from scipy.signal import wiener

from tests.benchmarks.clock import fastest


def main() -> None:
    """Print a line for each window."""
    levels = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
    plane = levels / 255
    print("window  SciPy ms  float64 ms          from uint8 ms       largest error: float64, grey levels")
    for side in (3, 5, 7, 11, 15):
        window = (side, side)
        exact = wiener(plane, window)
        errors = (
            np.abs(wiener2(plane, window) - exact).max(),
            np.abs(wiener2_levels(levels, window) - 255 * exact).max(),
        )
        reference = fastest(lambda window=window: wiener(plane, window), 5)  # type: ignore[misc]
        real = fastest(lambda window=window: wiener2(plane, window))  # type: ignore[misc]
        whole = fastest(lambda window=window: wiener2_rounded(levels, window))  # type: ignore[misc]
        ratios = f"{real:8.1f} ({reference / real:4.1f} x)   {whole:8.1f} ({reference / whole:4.1f} x)"
        print(f"{side:6}  {reference:8.1f}  {ratios}     {errors[0]:.1e}, {errors[1]:.1e}")


if __name__ == "__main__":
    main()

"""The network: block spectra of a residual at several scales, their statistics over the tile, and a small head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f import D2FError, Exit, Problem
from d2f.models import load_arrays
from d2f.weights import WeightsFile
from d2f_frequency_residual.stage import NetworkOptions
from d2f_frequency_residual.statistics import RAMPS, BandCorrelations, shares
from d2f_frequency_residual.transforms import BLOCK, block_spectrum, colour_matrix, cosine_matrix, halved, residual

FLOOR = 0.5
"""Added to magnitudes before the logarithm, in grey levels: below it is what rounding to 8 bits leaves."""

CUT = 4.0
"""A statistic that is further from its mean, in deviations, counts as this far."""


class SpectralNetwork(nn.Module):  # type: ignore[misc]
    """Statistics of the residual's block spectra, normalised, into a linear layer or two.

    Parameters
    ----------
    options : NetworkOptions
    """

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        # Private: constants are no parameters.
        self._colours, self._cosines = mx.array(colour_matrix()), mx.array(cosine_matrix())
        # Chroma comes at half the size from most cameras and JPEG files: at scale 1 it says nothing of its own.
        self._planes = [3 if scale and options.colour else 1 for scale in range(options.scales)]
        self.correlations = [BandCorrelations(count) for count in self._planes]
        size = sum(len(RAMPS) * BLOCK * BLOCK * count for count in self._planes)
        size += sum(each.size for each in self.correlations)
        self.norm, self.dropout = nn.BatchNorm(size, affine=False), nn.Dropout(options.dropout)
        self.hidden = nn.Linear(size, options.hidden) if options.hidden else None
        self.head = nn.Linear(options.hidden or size, 1)

    def __call__(self, x: mx.array) -> mx.array:
        """Return logits (n,) of pictures (n, height, width, 3), float32 in 0..1, of at least 8 pixels at each scale."""
        y = self.dropout(mx.clip(self.norm(self.statistics(x)), -CUT, CUT))
        if self.hidden is not None:
            y = nn.relu(self.hidden(y))
        return self.head(y)[:, 0]

    def statistics(self, x: mx.array) -> mx.array:
        """Return what the head is given, before it is normalised."""
        found = []
        for spectra, correlations in zip(self.spectra(x), self.correlations, strict=True):
            # Nothing in front of them learns: without this the whole way back would be computed.
            fixed = mx.stop_gradient(spectra)
            found += [mx.stop_gradient(shares(fixed)), correlations(fixed)]
        return mx.concatenate(found, axis=1)

    def spectra(self, x: mx.array) -> list[mx.array]:
        """Return the log spectra of each scale's blocks, (n, blocks, 64 or 192), luma's frequencies first."""
        n = x.shape[0]
        planes = (x @ self._colours).transpose(0, 3, 1, 2)
        found = []
        for scale, count in enumerate(self._planes):
            if scale:
                planes = halved(planes)
            spectrum = block_spectrum(residual(planes[:, :count]), self._cosines)
            spectrum = spectrum.reshape(n, count, -1, BLOCK * BLOCK).transpose(0, 2, 1, 3)
            found.append(mx.log(mx.abs(spectrum).reshape(n, -1, count * BLOCK * BLOCK) + FLOOR))
        return found


def read_network(held: WeightsFile, name: str) -> Callable[[Any], Any]:
    """Return a weights file's network: pictures, uint8 (n, height, width, 3), to logits (n,).

    Raises
    ------
    D2FError
        D2F504: the file is not of such a network.
    """
    if held.metadata.get("trainable") != "frequency-residual":
        note = "weights of `frequency-residual` are .safetensors files that `d2f train` wrote; they carry the options"
        message = f"weights '{name}' do not say that they are of `frequency-residual`"
        raise D2FError(Problem("D2F504", message, notes=(note,)), Exit.PLUGIN)
    network: Any = SpectralNetwork(NetworkOptions.model_validate_json(held.metadata["options"]))
    load_arrays(network, held.arrays, name)
    network.eval()
    return lambda pixels: network(pixels.astype(mx.float32) / 255.0)

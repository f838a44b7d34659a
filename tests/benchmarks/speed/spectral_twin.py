"""The network of the detector `frequency-residual` in PyTorch, as its users would write it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from d2f_frequency_residual.network import CUT, FLOOR
from d2f_frequency_residual.statistics import BANDS, LEAST, RAMPS
from d2f_frequency_residual.transforms import BLOCK, MARGIN, colour_matrix, cosine_matrix
from torch import nn
from torch.nn import functional

BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


class TorchSpectral(nn.Module):
    """Block spectra of a high-pass residual, their statistics, and a linear head; for pictures (n, 3, height, width).

    Parameters
    ----------
    planes : list of int
        Colours read at each scale.
    size : int
        How many statistics there are.
    """

    def __init__(self, planes: list[int], size: int) -> None:
        super().__init__()
        self.planes = planes
        cosines = cosine_matrix()
        # One filter for each frequency, horizontal ones first.
        filters = np.einsum("xu,yv->uvyx", cosines, cosines).reshape(BLOCK * BLOCK, 1, BLOCK, BLOCK)
        self._filters = torch.from_numpy(np.ascontiguousarray(filters))
        self._smooth = torch.from_numpy(np.outer(BINOMIAL, BINOMIAL)[None, None])
        self._colours = torch.from_numpy(np.ascontiguousarray(colour_matrix().T)[:, :, None, None])
        self.correlations = nn.ModuleList(Correlations(count) for count in planes)
        self.norm = nn.BatchNorm1d(size, affine=False)
        self.head = nn.Linear(size, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        found = []
        with torch.no_grad():
            spectra = self._spectra(x)
            counts = [[((one - low) / (high - low)).clamp(0, 1).mean(1) for low, high in RAMPS] for one in spectra]
        for one, count, correlations in zip(spectra, counts, self.correlations, strict=True):
            found += [*count, correlations(one)]
        y: torch.Tensor = self.head(self.norm(torch.cat(found, 1)).clamp(-CUT, CUT))
        return y[:, 0]

    def _spectra(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the log spectra (n, blocks, 64 for each colour) of each scale."""
        x, found = functional.conv2d(x, self._colours), []
        for scale, count in enumerate(self.planes):
            if scale:
                x = functional.avg_pool2d(x, 2)
            n, _, *sides = x.shape
            planes = x[:, :count].reshape(n * count, 1, *sides)
            around = functional.pad(planes, [MARGIN] * 4, mode="replicate")
            spectrum = functional.conv2d(planes - functional.conv2d(around, self._smooth), self._filters, stride=BLOCK)
            found.append(spectrum.reshape(n, count * BLOCK * BLOCK, -1).abs().add(FLOOR).log().transpose(1, 2))
        return found


class Correlations(nn.Module):
    """Correlations over blocks of bands' log magnitudes."""

    def __init__(self, colours: int) -> None:
        super().__init__()
        self.colours, count = colours, colours * BANDS
        self.bands = nn.Parameter(torch.zeros(BLOCK * BLOCK, BANDS))
        self._pairs = torch.triu_indices(count, count, 1)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Return those of spectra (n, blocks, 64 colours), row by row of their triangle."""
        n, blocks, _ = spectra.shape
        strengths = (spectra.reshape(n, blocks, self.colours, -1) @ self.bands).reshape(n, blocks, -1)
        apart = strengths - strengths.mean(1, keepdim=True)
        scaled = apart * (apart.square().mean(1, keepdim=True) + LEAST**2).rsqrt()
        products = scaled.transpose(1, 2) @ scaled / blocks
        return products[:, self._pairs[0], self._pairs[1]]


def torch_spectral(network: Any) -> TorchSpectral:
    """Return the twin of a network without hidden units."""
    if network.hidden is not None:
        raise KeyError("a spectral network with hidden units")
    return TorchSpectral(list(network._planes), network.norm.num_features)

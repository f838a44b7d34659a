"""The detector and its trainable; MLX is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from d2f import Input, Needs, Options, Pixels, Weights, WholeImage
from d2f.weights import read_weights, resolve

RECORDS = (
    Weights(
        name="frequency-residual/default",
        sha256="0fecb5e0779d3898f017d68ae365f8a3cb9d8a513c7833bb6d18d0511557a799",
        licence="MIT",
        sources=("package:d2f_frequency_residual/default.safetensors",),
        description="Trained on 3,061 images of 63 collections, as found and laundered.",
    ),
    Weights(
        name="frequency-residual/whole",
        sha256="0be06765db7e5745966d036c8f37db9efc9bc6032fecd48abd223378f7301fe3",
        licence="MIT",
        sources=("package:d2f_frequency_residual/whole.safetensors",),
        description="Trained on 1,561 images of 75 collections under the protocol `whole`, as judged and laundered.",
    ),
)

UNIT = 16
"""Windows begin at multiples of this, where JPEG's blocks do, chroma's too."""


class DetectorOptions(Options):
    """Options of the detector."""

    weights: str = Field(default="default", description="Name of a set of weights, or a path.")
    window: int = Field(
        default=512, ge=64, description="Greatest side of the central window that is looked at, in pixels."
    )


class FrequencyResidual:
    """Block spectra of a high-pass residual into a small network; above 0 for generated."""

    name = "frequency-residual"
    summary = "Block spectra of the high-pass residual at several scales into a small network."
    title = "fine texture"
    looks_at = "The frequencies of the finest detail, where generators leave regular traces."
    Options = DetectorOptions
    wants: Input = WholeImage()

    def __init__(self, options: DetectorOptions) -> None:
        # A view of 64 pixels has 64 blocks; one colour has no spectrum.
        self.needs = Needs(side=64, deviation=1e-4, window=options.window)
        self.weights = (resolve(options.weights, RECORDS),)
        self.trained_on: Any = None
        self._window = options.window
        self._network: Any = None

    def load(self) -> None:
        """Read the weights."""
        from d2f_frequency_residual.network import read_network

        held = read_weights(self.weights[0])
        self._network, self.trained_on = read_network(held, self.weights[0].name), held.trained_on

    def score(self, batch: Any) -> Sequence[float]:
        """Return the logit of `generated` of each view's central window; windows of one size go together."""
        import mlx.core as mx
        import numpy as np

        from d2f.layers import parallel

        windows = [central(view, self._window) for view in batch]
        logits = np.empty(len(windows))
        for shape in {window.shape for window in windows}:
            places = [place for place, window in enumerate(windows) if window.shape == shape]
            stacked = np.stack([windows[place] for place in places])
            # One at a time: larger products round otherwise, and a logit would depend on the other windows.
            logits[places] = np.array(parallel(self._network, mx.array(stacked), images=1))
        scores: list[float] = logits.tolist()
        return scores


def central(pixels: Pixels, side: int) -> Pixels:
    """Return the middle of a view, at most `side` pixels high and wide."""
    top, left = (max(0, length - side) // 2 // UNIT * UNIT for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


class NetworkOptions(Options):
    """Options of the network; recipes give them under `with`, and weights files carry them."""

    scales: int = Field(
        default=3, ge=1, le=4, description="Sizes of the picture whose spectra are read: 1, 1/2, 1/4, 1/8."
    )
    colour: bool = Field(default=True, description="Read chroma too, at scales below 1; else luma alone.")
    hidden: int = Field(default=0, ge=0, description="Units between the statistics and the logit; 0 for none.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Of the statistics, in training.")


class FrequencyResidualTrainable:
    """The network; `recipe.yaml` and `whole.yaml` beside this file are its recipes."""

    name = "frequency-residual"
    summary = "A network on block spectra of the high-pass residual, for the detector frequency-residual."
    Options = NetworkOptions

    def __init__(self, options: NetworkOptions) -> None:
        self.options = options

    def build(self) -> Any:
        """Return a fresh network: float32 (n, height, width, 3) in [0, 1] to logits (n,)."""
        from d2f_frequency_residual.network import SpectralNetwork

        return SpectralNetwork(self.options)

    def ablations(self) -> dict[str, dict[str, Any]]:
        """Return simpler variants by name, as options: what `d2f train ablate` compares with."""
        given = self.options.model_dump()
        simpler: dict[str, dict[str, Any]] = {}
        if self.options.scales > 1:
            simpler["one scale"] = {**given, "scales": 1}
        if self.options.colour:
            simpler["luma alone"] = {**given, "colour": False}
        if self.options.hidden:
            simpler["a linear head"] = {**given, "hidden": 0}
        return simpler

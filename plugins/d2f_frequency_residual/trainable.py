"""What `d2f train` fits for the detector `frequency-residual`."""

from __future__ import annotations

from typing import Any

from d2f_frequency_residual.options import NetworkOptions


class FrequencyResidualTrainable:
    """The network; `recipe.yaml` beside this file is its recipe."""

    name = "frequency-residual"
    summary = "A network on block spectra of the high-pass residual, for the detector frequency-residual."
    Options = NetworkOptions

    def __init__(self, options: NetworkOptions) -> None:
        self.options = options

    def build(self) -> Any:
        """Return a fresh network: float32 (n, height, width, 3) in [0, 1] to logits (n,)."""
        from d2f_frequency_residual.network import build_network

        return build_network(self.options)

    def ablations(self) -> dict[str, dict[str, Any]]:
        """Return simpler kin by name, as options: what `d2f train ablate` compares with."""
        given = self.options.model_dump()
        simpler: dict[str, dict[str, Any]] = {}
        if self.options.scales > 1:
            simpler["one scale"] = {**given, "scales": 1}
        if self.options.colour:
            simpler["luma alone"] = {**given, "colour": False}
        if self.options.hidden:
            simpler["a linear head"] = {**given, "hidden": 0}
        return simpler

"""The preprocessor `autoencoder`: a picture through a generator's latent autoencoder and back."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Preprocessor, Weights, hookimpl


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    from d2f_autoencoder.stage import Autoencoder

    return [Autoencoder]


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the two files that are fetched on request."""
    from d2f_autoencoder.records import DECODER, ENCODER

    return ENCODER, DECODER

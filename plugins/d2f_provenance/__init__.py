"""The evidence stage `provenance`: what an image file says about itself, from its bytes, never from the network."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import EvidenceReader, Weights, hookimpl


@hookimpl
def d2f_evidence() -> Sequence[type[EvidenceReader]]:
    """Return the one stage of this plugin."""
    from d2f_provenance.reader import Provenance

    return [Provenance]


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the trust list that can be fetched in place of the shipped one."""
    from d2f_provenance.credentials import FETCHED

    return [FETCHED]

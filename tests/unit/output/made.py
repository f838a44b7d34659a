"""Rows made by hand, one of each kind."""

from __future__ import annotations

import dataclasses

from d2f.api.inputs import Note
from d2f.api.outcomes import Evidence
from d2f.api.rows import Failure, Member, Missing, Row
from d2f.output import Head

MEMBERS = (("resnet", "plain"), ("resnet", "denoised"), ("provenance", "plain"))
HEAD = Head("robust", "3f9a12c0" * 8, MEMBERS)
OTHER = Head("robust", "beefbeef" * 8, MEMBERS)

GENERATED = Row(
    path="a.jpg",
    sha256="ab" * 32,
    width=4032,
    height=3024,
    format="JPEG",
    probability=0.971,
    verdict="generated",
    llr=3.5,
    disagreements=("resnet: plain generated, denoised real", "noise: plain real, jpeg generated"),
    evidence=(Evidence("c2pa", "made by a generator", "JPEG APP11", "valid; signer unknown", 6.9, '{"a": 1}'),),
    llr_provenance=6.9,
    probability_with_provenance=0.9999,
    frames=1,
    plugins={"d2f": "0.2.0", "d2f-toy": "1.0"},
    stages=(
        Member("resnet", "plain", 3.2, 0.98, 1.9),
        Member("resnet", "denoised", -0.1 - 0.2, 0.31, -0.4),
        Member("provenance", "plain", 1.0, 0.9, 2.0, evidence="C2PA manifest signed by a generator"),
    ),
    chain="robust",
    chain_digest=HEAD.digest,
)
REAL = dataclasses.replace(
    GENERATED, path="b.png", probability=0.012, verdict="real", disagreements=(), llr=-4.4, format="PNG"
)
HALF = dataclasses.replace(
    GENERATED,
    path="half.jpg",
    probability=None,
    verdict="inconclusive",
    disagreements=(),
    llr=None,
    notes=(Note("too-few-scores", "1 of the 2 scores; needed: 2"), Note("colour", "grey")),
    missing=(Missing("resnet", "D2F401: ValueError: a, b: c"),),
    evidence=(),
    llr_provenance=None,
    probability_with_provenance=None,
    stages=(
        Member("resnet", "plain", error=Failure("D2F401", "ValueError: a, b: c")),
        Member("resnet", "denoised", 0.5, seen=0.25),
        Member("provenance", "plain", abstained="no manifest, no metadata"),
    ),
)
BROKEN = Row(
    path="broken.jpg",
    sha256=None,
    width=None,
    height=None,
    format=None,
    probability=None,
    verdict=None,
    llr=None,
    stages=(),
    chain="robust",
    chain_digest=HEAD.digest,
    error=Failure("D2F304", "the image is damaged or truncated"),
)
ROWS = (GENERATED, REAL, HALF, BROKEN)

NASTY_NAMES = (
    "été 🦊.jpg",
    "two\nlines.jpg",
    "carriage\rreturn.jpg",
    'say "cheese", please.jpg',
    '"\n"",\r\n".jpg',
    " leading and trailing ",
    "u2028\u2028and\x1b[31m.jpg",
    "=1+1.jpg",
)
NOT_UTF8 = "caf\udce9.jpg"


def named(path: str) -> Row:
    """Return a row of that path."""
    return dataclasses.replace(GENERATED, path=path)

"""One row a result: what a chain says of one image, in the order and words of every output format.

To add a column: a field of `Row` and its value in `d2f.engine.judge.row`, and a page in docs/adr. The columns of every
format follow by themselves: before those of the members where the field stands before `stages`, after them otherwise.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from d2f.api.inputs import Note
from d2f.api.outcomes import Evidence

NOT_RUN = "not run: "
"""Beginning of `Member.abstained` where a precondition failed, so that no detector was run."""

Verdict: TypeAlias = Literal["generated", "real", "inconclusive"]
VERDICT_WORDS: Mapping[str, str] = {
    "generated": "AI-generated",
    "real": "no sign of generation",
    "inconclusive": "inconclusive",
}
"""How a verdict reads wherever a person is shown one; rows keep the value."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an image, or one member of it, has no result.

    Parameters
    ----------
    code : str
        A key of `d2f.CODES`.
    message : str
        One line for a person.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A stage of the chain that gave no answer for an image because it is not usable, not because it abstained.

    Parameters
    ----------
    detector : str
        The detector's id in the chain; the stage's name where it is a precondition or an evidence reader.
    reason : str
        One line for a person, with the next step where there is one.
    """

    detector: str
    reason: str


@dataclass(frozen=True, slots=True)
class Member:
    """The result of one detector on one view.

    Parameters
    ----------
    detector : str
        The detector's id in the chain.
    view : str
        The view's name.
    score : float or None
        The detector's raw score.
    probability : float or None
        Calibrated probability that the image is generated, at even prior, in [0, 1], 4 decimals.
    contribution : float or None
        What the member added to the combiner's log-likelihood ratio, in nats, before the chain's own calibration.
    abstained : str or None
        The reason, where the detector abstained.
    error : Failure or None
        What went wrong in this member only.
    evidence : str or None
        The detector's finding in words, where it gives one.
    seen : float or None
        Share of the view's pixels that the detector looked at, in [0, 1], 4 decimals; None where it does not say.
    tiles : tuple of float
        The score of each tile, for maps; not part of the written row.
    """

    detector: str
    view: str
    score: float | None = None
    probability: float | None = None
    contribution: float | None = None
    abstained: str | None = None
    error: Failure | None = None
    evidence: str | None = None
    seen: float | None = None
    tiles: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """``detector/view``, the member's name in a chain file."""
        return f"{self.detector}/{self.view}"


@dataclass(frozen=True, slots=True)
class Row:
    """A chain's result for one image.

    Parameters
    ----------
    path, sha256, width, height, format
        Of the file; None where it could not be read so far.
    frames : int or None
        How many frames or pages the file holds; where there are several, `notes` says which was judged.
    probability : float or None
        Probability that the image is generated at the chain's prior, in [0, 1], rounded to 4 decimals.
    verdict : {'generated', 'real', 'inconclusive'} or None
        None where the image could not be scored.
    llr : float or None
        Log-likelihood ratio of generated over real in nats, of the pixels alone, before the prior, 4 decimals.
    notes : tuple of Note
        Caveats of this result: failed preconditions, too few scores, a reduced or damaged picture.
    missing : tuple of Missing
        Stages of the chain that gave no answer here, and why. Where one was lost during the run, the verdict is
        ``inconclusive``.
    disagreements : tuple of str
        Detectors that find ``generated`` in one view and ``real`` in another, in words.
    evidence : tuple of Evidence
        What the file says about itself, by the chain's evidence readers.
    llr_provenance : float or None
        Log-likelihood ratio of the evidence in nats, 4 decimals; None where no evidence has a ratio other than 0.
    probability_with_provenance : float or None
        Probability from prior, `llr` (0 where it is None) and `llr_provenance`, in [0, 1], 4 decimals; None where
        `llr_provenance` is.
    stages : tuple of Member
        One for each (detector, view), in the chain's order.
    chain, chain_digest : str
        Name and digest of the chain.
    plugins : mapping of str to str
        Version of each distribution that the chain's stages come from.
    error : Failure or None
        Why there is no result.
    """

    path: str
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    frames: int | None = None
    probability: float | None = None
    verdict: Verdict | None = None
    llr: float | None = None
    notes: tuple[Note, ...] = ()
    missing: tuple[Missing, ...] = ()
    disagreements: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    llr_provenance: float | None = None
    probability_with_provenance: float | None = None
    stages: tuple[Member, ...] = ()
    chain: str = ""
    chain_digest: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    error: Failure | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data, keys in the order of the row format; tile scores are left out.

        A path that is not UTF-8 has U+FFFD for each byte that is not, and its bytes in `path_bytes`, as base64.
        """
        row: dict[str, Any] = {"path": encodable(self.path), "path_bytes": path_bytes(self.path)}
        row |= {name: value for name, value in _plain(self).items() if name != "path"}
        for member in row["stages"]:
            del member["tiles"]
        return row


def verdicts_in_words(disagreement: str) -> str:
    """Return one of a row's disagreements as a person is shown it.

    >>> verdicts_in_words("resnet: plain generated, denoised real")
    'resnet: plain AI-generated, denoised no sign of generation'
    """
    return re.sub(r" (generated|real)(?=, |$)", lambda found: f" {VERDICT_WORDS[found[1]]}", disagreement)


_ESCAPED = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    r"""Return text as UTF-8 can hold it: U+FFFD for each byte of a file name that is not UTF-8.

    >>> encodable("caf\udce9.jpg")
    'caf\ufffd.jpg'
    """
    return text if text.isascii() else _ESCAPED.sub("\ufffd", text)


def path_bytes(path: str) -> str | None:
    r"""Return a path's bytes as base64 where they are not UTF-8, else None.

    >>> path_bytes("caf\udce9.jpg"), path_bytes("café.jpg")
    ('Y2Fm6S5qcGc=', None)
    """
    return b64encode(os.fsencode(path)).decode() if encodable(path) != path else None


def path_of(path: str, encoded: str | None) -> str:
    r"""Return the path that opens the file, of a written row's `path` and `path_bytes`.

    >>> path_of("caf\ufffd.jpg", "Y2Fm6S5qcGc=")
    'caf\udce9.jpg'
    """
    return os.fsdecode(b64decode(encoded)) if encoded else path


def _plain(part: Any) -> Any:
    """Return plain data; ``dataclasses.asdict`` copies deeply, which took longer than writing the row."""
    if isinstance(part, str | int | float | None):
        return part
    if isinstance(part, tuple):
        return [_plain(one) for one in part]
    if isinstance(part, Mapping):
        return dict(part)
    return {field.name: _plain(getattr(part, field.name)) for field in fields(part)}

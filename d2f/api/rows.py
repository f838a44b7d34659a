"""One row a result: what a chain says of one image, in the order and words of every output format."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["generated", "real", "inconclusive"]


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
class Member:
    """What one detector said of one view.

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
        What the detector found, where it says so in words.
    tiles : tuple of float
        The score of each tile, kept for maps; not part of the written row.
    """

    detector: str
    view: str
    score: float | None = None
    probability: float | None = None
    contribution: float | None = None
    abstained: str | None = None
    error: Failure | None = None
    evidence: str | None = None
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
    probability : float or None
        Probability that the image is generated at the chain's prior, in [0, 1], rounded to 4 decimals.
    verdict : {'generated', 'real', 'inconclusive'} or None
        None where the image could not be scored.
    flips : tuple of str
        Detectors whose finding turns between views, in words.
    llr : float or None
        Log-likelihood ratio of generated over real in nats, before the prior, 4 decimals.
    stages : tuple of Member
        One for each (detector, view), in the chain's order.
    chain, chain_digest : str
        Name and digest of the chain.
    error : Failure or None
        Why there is no result.
    """

    path: str
    sha256: str | None
    width: int | None
    height: int | None
    format: str | None
    probability: float | None
    verdict: Verdict | None
    flips: tuple[str, ...]
    llr: float | None
    stages: tuple[Member, ...]
    chain: str
    chain_digest: str
    error: Failure | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain data, keys in the order of the row format; tile scores are left out."""
        row = _plain(self)
        row["flips"] = list(self.flips)
        row["stages"] = [_plain(member) for member in self.stages]
        for member in row["stages"]:
            del member["tiles"]
        return row


def _plain(part: Row | Member | Failure) -> dict[str, Any]:
    """Return the fields of one dataclass; ``asdict`` copies deeply, which took longer than writing the row."""
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    if values.get("error") is not None:
        values["error"] = _plain(values["error"])
    return values

"""What a bench's folder holds, read back into the bench's own terms: every chain and member, clean and filtered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.chain.chain import Chain
from d2f.data.dataset import Dataset
from d2f.data.groups import digest
from d2f.evaluate.bench import ROWS, read_result
from d2f.evaluate.systems import System
from d2f.metrics import Draws
from d2f.metrics.figures import WORDS

ATTACKS = {"wiener 7x7": "wiener:window=7", "wiener 7x7 + noise": "wiener:window=7+noise:sigma=2"}
"""The attacks: SPECs by the name that the page calls them."""
COPIES = ("clean", *ATTACKS)

VERDICTS = {word: value for value, word in WORDS.items()}
COLUMNS = ("label", "component", "attack", "chain", "member", "score", "llr", "verdict")


@dataclass(frozen=True)
class Judged:
    """One chain's judgements, copies in the order of `COPIES`.

    Parameters
    ----------
    name : str
    chain : Chain
    whole : System
        The chain's log-likelihood ratios and verdicts, shape (images, copies).
    members : tuple of System
        The calibrated log-odds of each member, shape (images, copies).
    scores : numpy.ndarray, shape (images, copies, members), float64
        As the detectors gave them; NaN where a member has none.
    """

    name: str
    chain: Chain
    whole: System
    members: tuple[System, ...]
    scores: Floats


@dataclass(frozen=True)
class Benched:
    """Several chains on one set, with the draws that the bench took its intervals from."""

    result: Mapping[str, Any]
    labels: Labels
    draws: Draws
    judged: tuple[Judged, ...]


def refusal(result: Mapping[str, Any], chains: Sequence[Chain], images: Dataset | None = None) -> str:
    """Return why a finished bench does not serve, empty where it does; without `images`, any set will do."""
    if result["protocol"] != "crop":
        return "it was not made under the protocol crop"
    specs = {attack["spec"] for attack in result["attacks"]}
    if lacking := [spec for spec in ATTACKS.values() if spec not in specs]:
        return f"it was made without the attack {lacking[0]}"
    digests = {system.get("digest") for system in result["systems"]}
    if others := [chain.name for chain in chains if chain.digest not in digests]:
        return f"it holds no scores of the chain '{others[0]}' as it is now"
    unread = result["failures"]["unread"]["count"]
    if images is not None and (result["data"]["images"] + unread, result["data"]["digest"]) != (
        len(images),
        # An image that cannot be read has no part in the digest: then only the number is compared.
        digest(images) if not unread else result["data"]["digest"],
    ):
        return "it was made of other images"
    return ""


def read(folder: Path, chains: Sequence[Chain]) -> Benched:
    """Read a finished bench of these chains.

    Raises
    ------
    D2FError
        D2F002 and D2F006 as `read_result`; D2F006 where the bench does not serve.
    """
    import pyarrow.parquet as pq

    result = read_result(str(folder))
    if why := refusal(result, chains):
        raise D2FError.of("D2F006", f"the bench in '{folder}' does not serve: {why}")
    named = {attack["spec"]: attack["name"] for attack in result["attacks"]}
    attacks = ["none", *(named[spec] for spec in ATTACKS.values())]
    called = {system.get("digest"): system["name"] for system in result["systems"]}
    names = [called[chain.digest] for chain in chains]
    wanted = [("attack", "in", attacks), ("chain", "in", names)]
    rows = pq.read_table(folder / ROWS, columns=list(COLUMNS), filters=wanted)
    blocks = _Blocks(rows, attacks)
    labels, components = blocks.facts(names[0])
    draws = Draws(components, labels, result["draws"], result["data"]["seed"])
    judged = tuple(_judged(chain, name, blocks) for chain, name in zip(chains, names, strict=True))
    return Benched(result, labels, draws, judged)


def _judged(chain: Chain, name: str, blocks: _Blocks) -> Judged:
    whole = System(name, "chain", blocks.numbers(name, "", "llr"), blocks.verdicts(name))
    members = chain.plan.member_names
    systems = tuple(System(member, "stage", blocks.numbers(name, member, "llr"), None) for member in members)
    scores = np.stack([blocks.numbers(name, member, "score") for member in members], axis=2)
    return Judged(name, chain, whole, systems, scores)


class _Blocks:
    """The rows by (attack, chain, member): the images are in one order in each."""

    def __init__(self, rows: Any, attacks: Sequence[str]) -> None:
        self._columns = {name: rows[name].combine_chunks() for name in rows.column_names}
        self._attacks = attacks
        keys = [np.asarray(self._columns[name].to_pylist(), dtype=object) for name in ("attack", "chain", "member")]
        self._places: dict[tuple[str, ...], list[int]] = {}
        for place, key in enumerate(zip(*keys, strict=True)):
            self._places.setdefault(key, []).append(place)

    def numbers(self, chain: str, member: str, column: str) -> Floats:
        """Return a column of numbers, shape (images, copies); NaN where there is none."""
        taken = (self._taken(attack, chain, member, column) for attack in self._attacks)
        found: Floats = np.stack([one.to_numpy(zero_copy_only=False).astype(np.float64) for one in taken], axis=1)
        return found

    def verdicts(self, chain: str) -> Any:
        """Return a chain's verdicts, shape (images, copies), as `System` holds them."""
        taken = (self._taken(attack, chain, "", "verdict").to_pylist() for attack in self._attacks)
        return np.array([[VERDICTS[word] for word in one] for one in taken], dtype=np.int8).T

    def facts(self, chain: str) -> tuple[Labels, Any]:
        """Return the images' labels and components."""
        words = self._taken("none", chain, "", "label").to_pylist()
        components = self._taken("none", chain, "", "component").to_numpy(zero_copy_only=False)
        return np.array([word == "generated" for word in words], dtype=np.int8), components.astype(np.int64)

    def _taken(self, attack: str, chain: str, member: str, column: str) -> Any:
        return self._columns[column].take(self._places[attack, chain, member])

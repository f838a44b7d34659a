"""Content Credentials (C2PA): who signed what about this picture, and whether that still holds.

Verified by c2pa-python, an optional dependency, on the file's bytes alone: no manifest is fetched, no revocation asked.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from d2f import Evidence, Weights
from d2f.weights import checked_bytes, resolve
from d2f_provenance.claims import UNTRUSTED, all_failures, read_claim, signed_manifests
from d2f_provenance.containers import Block
from d2f_provenance.evidence import (
    CHANGED,
    DATE_NOT_CONFIRMED,
    ELSEWHERE,
    NOT_READ,
    SIGNED_CAMERA,
    SIGNED_GENERATED,
    TRUSTED,
    UNKNOWN_SIGNER,
    UNREADABLE,
    bounded,
    in_line,
)
from d2f_provenance.fields import DCTERMS, Xmp

NOT_INSTALLED = "Content Credentials not read: install d2f[c2pa]"

SIGNATURE_USES = (
    "1.3.6.1.5.5.7.3.4",  # e-mail protection
    "1.3.6.1.5.5.7.3.36",  # document signing
    "1.3.6.1.5.5.7.3.8",  # time stamping
    "1.3.6.1.5.5.7.3.9",  # OCSP signing
    "1.3.6.1.4.1.311.76.59.1.9",  # Microsoft's C2PA signing
    "1.3.6.1.4.1.62558.2.1",  # C2PA claim signing
)
"""Extended key usages of which a signer's certificate must have one; without them genuine files read as invalid."""

_NOT_CHECKED = "revocation and expiry not checked offline"


@dataclass(frozen=True, slots=True)
class TrustList:
    """Certificates of signers, under the name that is shown with a verdict.

    Parameters
    ----------
    name : str
        With its date.
    anchors : str
        Roots, PEM.
    allowed : str
        End-entity certificates, PEM; may be empty.
    """

    name: str
    anchors: str
    allowed: str = ""

    def settings(self) -> dict[str, Any]:
        """Return the settings of a reader that trusts this list and uses no network."""
        trust = {"trust_anchors": self.anchors, "trust_config": "\n".join(SIGNATURE_USES)}
        if self.allowed:
            trust["allowed_list"] = self.allowed
        return {
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
            # Identity assertions need the network, and without it make intact files invalid.
            "core": {"allowed_network_hosts": [], "decode_identity_assertions": False},
            "trust": trust,
        }


LIST_ADDRESS = "https://raw.githubusercontent.com/c2pa-org/conformance-public/main/trust-list/C2PA-TRUST-LIST.pem"
FETCHED = Weights(
    name="c2pa-trust-list",
    sha256="",
    licence="CC-BY-4.0",
    sources=(LIST_ADDRESS,),
    description="The official C2PA trust list of the day of its fetch, in place of the one of 2026-08-05 that ships.",
    untested=(LIST_ADDRESS,),
)
"""No weights, but fetched and pinned as they are."""


def fetched_list() -> Weights | None:
    """Return the record of the list that was fetched; None where none was."""
    record = resolve(FETCHED.name, (FETCHED,))
    return record if record.sha256 else None


def own_list(path: str) -> Weights | None:
    """Return the record of a user's file, by what it holds; None where it cannot be read."""
    try:
        sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None
    return Weights(name="trust-list", sha256=sha256, licence="", sources=(path,))


def trust_lists(fetched: Weights | None) -> tuple[TrustList, TrustList]:
    """Return the lists in force: the official one, as it was fetched or as it ships, and the interim one with it.

    Raises
    ------
    D2FError
        D2F502, D2F503 or D2F505: the fetched file is gone, was changed, or cannot be read.
    """
    official, interim = shipped_lists()
    if fetched is None:
        return official, interim
    anchors = checked_bytes(fetched).decode("utf-8")
    newer = TrustList(f"C2PA trust list as fetched, sha256 {fetched.sha256[:12]}", anchors)
    return newer, replace(interim, anchors=f"{anchors}\n{interim.anchors}")


def shipped_lists() -> tuple[TrustList, TrustList]:
    """Return the official list, and the official and interim lists together."""
    folder = files("d2f_provenance").joinpath("trust")
    official, anchors, allowed = (
        folder.joinpath(name).read_text("utf-8")
        for name in ("c2pa-trust-list.pem", "interim-anchors.pem", "interim-allowed.pem")
    )
    return (
        TrustList("C2PA trust list of 2026-08-05", official),
        TrustList("interim trust list (frozen in January 2026)", f"{official}\n{anchors}", allowed),
    )


class CredentialReader:
    """Reads the Content Credentials of files against trust lists.

    Parameters
    ----------
    lists : sequence of TrustList
        From the narrowest to the widest; a signer is reported under the first that trusts it.
    """

    def __init__(self, lists: Sequence[TrustList]) -> None:
        self._lists = lists
        self._contexts: dict[tuple[int, int], Any] = {}

    def read(self, data: bytes, blocks: Sequence[Block], xmp: Sequence[Xmp]) -> Iterator[Evidence]:
        """Yield the state of a file's Content Credentials, nothing where it carries none.

        Parameters
        ----------
        data : bytes
            The whole file.
        blocks, xmp
            Its metadata: the verifier is only asked where they hold a manifest or the address of one.
        """
        source = next((block.source for block in blocks if block.kind == "c2pa"), "")
        if source:
            yield from self._embedded(data, source)
            return
        for packet in xmp:
            address = packet.get(DCTERMS, "provenance")
            if address.startswith(("http://", "https://")):
                statement = f"Content Credentials are kept elsewhere and were not fetched: {in_line(address, 120)}."
                place = f"{packet.source} XMP dcterms:provenance"
                yield Evidence("c2pa", statement, place, ELSEWHERE, raw=bounded(address))
                return

    def _embedded(self, data: bytes, source: str) -> Iterator[Evidence]:
        try:
            import c2pa
        except ImportError:
            yield Evidence("c2pa", NOT_INSTALLED, source, NOT_READ)
            return
        except OSError as error:  # no library of it for this system
            yield Evidence("c2pa", f"Content Credentials not read: {in_line(str(error))}", source, NOT_READ)
            return
        try:
            report = self._report(data, len(self._lists) - 1)
        except c2pa.C2paError as error:
            reason = in_line(str(error), 120)
            statement = f"Content Credentials are there and unreadable: {reason}."
            yield Evidence("c2pa", statement, source, UNREADABLE, raw=reason)
            return
        if report is None:
            return
        listed = self._lists[-1].name
        if report.state == "Trusted":
            listed = next((each.name for at, each in enumerate(self._lists[:-1]) if self._trusts(data, at)), listed)
        yield _evidence(report, listed, source)

    def _trusts(self, data: bytes, at: int) -> bool:
        report = self._report(data, at)
        return report is not None and report.state == "Trusted"

    def _report(self, data: bytes, at: int) -> Report | None:
        import c2pa

        reader = c2pa.Reader.try_create("application/octet-stream", io.BytesIO(data), context=self._context(at))
        if reader is None:
            return None
        with reader:
            return Report(json.loads(reader.json()))

    def _context(self, at: int) -> Any:
        """Return the verifier's context for a list; one made before a fork does not work after it."""
        import c2pa

        key = (os.getpid(), at)
        if key not in self._contexts:
            self._contexts[key] = c2pa.Context.from_dict(self._lists[at].settings())
        return self._contexts[key]


class Report:
    """The verifier's report on one file: its state, its codes, its manifests."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self.state = str(report.get("validation_state"))
        self.history = signed_manifests(report)
        self.claim = read_claim(self.history)
        self.failures = all_failures(report) - {UNTRUSTED}

    @property
    def trust(self) -> str:
        """The state of the file's newest signature; one of those of `d2f_provenance.evidence`."""
        if self.state in ("Trusted", "Valid"):
            return TRUSTED if self.state == "Trusted" else UNKNOWN_SIGNER
        return _state(self.failures) if self.failures else UNREADABLE

    @property
    def claim_trust(self) -> str:
        """The state of the claim: the weakest of the signatures that it rests on."""
        rests_on = [_state(signed.failures) for signed in self.history[1 : self.claim.depth]]
        return max([self.trust, *rests_on], key=_FROM_STRONG_TO_WEAK.index)


_FROM_STRONG_TO_WEAK = (TRUSTED, UNKNOWN_SIGNER, DATE_NOT_CONFIRMED, CHANGED, UNREADABLE)


def _state(failures: Set[str]) -> str:
    """Return the state that a manifest's failures amount to."""
    if failures <= {UNTRUSTED}:
        return UNKNOWN_SIGNER if failures else TRUSTED
    others = failures - {UNTRUSTED}
    if all(code == "signingCredential.expired" or code.startswith("timeStamp.") for code in others):
        return DATE_NOT_CONFIRMED
    return CHANGED if any(code.endswith((".mismatch", ".missing")) for code in others) else UNREADABLE


def _evidence(report: Report, listed: str, source: str) -> Evidence:
    claim, trust = report.claim, report.claim_trust
    says = {"generated": SIGNED_GENERATED, "camera": SIGNED_CAMERA}.get(claim.says, {})
    return Evidence("c2pa", _sentence(report, listed), source, trust, says.get(trust, 0.0), _raw(report))


def _sentence(report: Report, listed: str) -> str:
    """Return who claims what, on which list, and what has become of the file since."""
    claim, trust = report.claim, report.claim_trust
    signer, time = "an unnamed signer", ""
    if report.history:
        signer, time = report.history[claim.depth - 1].signer, report.history[claim.depth - 1].time[:10]
    if time:
        signer += f", dated {time},"
    meaning = claim.meaning or "nothing of how the picture was made"
    words = f"says that {meaning}" if claim.meaning else f"says {meaning}"
    codes = ", ".join(sorted(report.failures))
    owner = "its signer" if trust == report.trust else "the signer of an earlier version"
    ending = {
        TRUSTED: f"signer on the {listed}; unchanged since signing",
        UNKNOWN_SIGNER: f"{owner} is on none of the trust lists; unchanged since signing",
        DATE_NOT_CONFIRMED: "the date of signing is not confirmed (certificate expired, no trusted timestamp)",
        CHANGED: "changed since signing (picture or metadata)"
        + (f": {codes}" if codes else ", before it was opened again"),
        UNREADABLE: f"the credentials do not follow the standard: {codes}",
    }[trust]
    return f"The Content Credential of {signer} {words}; {ending}; {_NOT_CHECKED}."


def _raw(report: Report) -> str:
    """Return the history as JSON: signer, date, program, actions with their source types."""
    history = [
        {
            "signer": signed.signer,
            "time": signed.time,
            "program": signed.program,
            "actions": [
                " ".join(str(action[key]) for key in ("action", "digitalSourceType") if key in action)
                for action in signed.actions
            ],
        }
        for signed in report.history
    ]
    return bounded(json.dumps(history, ensure_ascii=False), 4000)

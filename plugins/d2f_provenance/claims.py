"""What the manifests of a file's Content Credentials claim about the picture, from the newest to its first version."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from d2f_provenance.evidence import in_line
from d2f_provenance.labels import SourceType, source_type

DEPTH = 64
"""The most manifests that are followed from one version of the picture to the one before."""

UNTRUSTED = "signingCredential.untrusted"
CREATED, OPENED = "c2pa.created", "c2pa.opened"

_LABEL = re.compile(r"/c2pa/([^/]+)/")

# Makers that state no source type, or did not always, as they name themselves in `softwareAgent`.
_GENERATORS = ("Image Creator from Designer", "Bing Image Creator", "Adobe Firefly", "GPT-4o", "gpt-image", "Flux.")

# Actions that add no content; whatever else follows a camera may be generative even where it does not say so.
_HARMLESS = {
    "c2pa.opened",
    "c2pa.color_adjustments",
    "c2pa.converted",
    "c2pa.cropped",
    "c2pa.edited.metadata",
    "c2pa.orientation",
    "c2pa.published",
    "c2pa.redacted",
    "c2pa.repackaged",
    "c2pa.resized",
    "c2pa.transcoded",
    "c2pa.watermarked",
    "c2pa.watermarked.bound",
    "c2pa.watermarked.unbound",
}
_HARMLESS_TERMS = {"humanEdits", "minorHumanEdits", "algorithmicallyEnhanced"}


@dataclass(frozen=True, slots=True)
class Signed:
    """One manifest: who signed it, when, with what actions.

    Parameters
    ----------
    signer : str
        Organisation and name on the certificate.
    time : str
        Of the timestamp, or empty.
    program : str
        The claim generator.
    actions : sequence of mapping
        As the manifest lists them.
    failures : frozenset of str
        Codes of what the verifier found wrong with it, trust included.
    parts : sequence of sequence of Signed
        Histories of the pictures that were placed into this version.
    says_generated : bool
        Whether a maker's own assertion says so.
    """

    signer: str
    time: str
    program: str
    actions: Sequence[Mapping[str, Any]]
    failures: frozenset[str]
    parts: Sequence[Sequence[Signed]] = field(default=(), repr=False)
    says_generated: bool = False

    def source_types(self, created: bool) -> Iterator[SourceType]:
        """Yield the source types of the action that created the picture, or of the others."""
        for action in self.actions:
            if (action.get("action") == CREATED) == created and (found := source_type(action.get("digitalSourceType"))):
                yield found

    @property
    def created(self) -> bool:
        """Whether the picture's history begins here."""
        return any(action.get("action") == CREATED for action in self.actions)

    @property
    def generates(self) -> bool:
        """Whether it claims that generative AI created the picture."""
        if self.says_generated or any(found.says == "generated" for found in self.source_types(created=True)):
            return True
        untyped = (each for each in self.actions if each.get("action") == CREATED and "digitalSourceType" not in each)
        return any(_agent(action).startswith(_GENERATORS) for action in untyped)

    @property
    def harmless(self) -> bool:
        """Whether no action but the creation could have added content."""
        for action in self.actions:
            found = source_type(action.get("digitalSourceType"))
            term_allows = found is not None and found.term in _HARMLESS_TERMS
            if action.get("action") != CREATED and not term_allows and action.get("action") not in _HARMLESS:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Claim:
    """What a history of manifests says of the picture.

    Parameters
    ----------
    says : {'generated', 'partly', 'camera', 'edited camera', 'other', 'nothing'}
    meaning : str
        To follow "signed that"; empty for ``'nothing'``.
    depth : int
        Number of manifests, from the newest on, that the claim rests on.
    """

    says: Literal["generated", "partly", "camera", "edited camera", "other", "nothing"]
    meaning: str
    depth: int


def read_claim(history: Sequence[Signed]) -> Claim:
    """Return what a history, newest manifest first, says; generation at its origin outweighs what followed."""
    partly = None
    for depth, signed in enumerate(history, start=1):
        if signed.generates:
            return Claim("generated", "generative AI made the picture", depth)
        partly = partly or _part(signed, depth)
    if partly:
        return partly
    origin = next((found for signed in history[-1:] for found in signed.source_types(created=True)), None)
    if origin is not None and origin.says == "camera":
        if all(signed.harmless for signed in history):
            return Claim("camera", origin.meaning, len(history))
        return Claim("edited camera", f"{origin.meaning}, and that edits followed", len(history))
    for depth, signed in enumerate(history, start=1):
        for found in (*signed.source_types(created=True), *signed.source_types(created=False)):
            return Claim("other", found.meaning, depth)
    return Claim("nothing", "", 1)


def _part(signed: Signed, depth: int) -> Claim | None:
    """Return the claim that a part of the picture is generated, None where this manifest does not make it."""
    for created in (True, False):
        for found in signed.source_types(created):
            if found.says == "partly":
                return Claim("partly", found.meaning, depth)
            if found.says == "generated" and not created:
                return Claim("partly", "generative AI edited the picture", depth)
    if any(read_claim(part).says in ("generated", "partly") for part in signed.parts):
        return Claim("partly", "a generated picture was placed into the picture", depth)
    return None


def signed_manifests(report: Mapping[str, Any]) -> Sequence[Signed]:
    """Return the history that a verifier's report holds, newest manifest first."""
    manifests = _mapping(report.get("manifests"))
    return _history(manifests, str(report.get("active_manifest")), _failures(report, manifests), frozenset())


def _history(
    manifests: Mapping[str, Any], label: str, failures: Mapping[str, set[str]], seen: frozenset[str]
) -> Sequence[Signed]:
    history: list[Signed] = []
    while label in manifests and label not in seen and len(seen) < DEPTH:
        seen |= {label}
        manifest = _mapping(manifests[label])
        ingredients = [_mapping(each) for each in _list(manifest.get("ingredients"))]
        placed = [each for each in ingredients if each.get("relationship") == "componentOf"]
        parents = [each for each in ingredients if each.get("relationship") == "parentOf"]
        actions = list(_actions(manifest))
        if (
            not parents
            and len(ingredients) == len(placed) == 1
            and any(each.get("action") == OPENED for each in actions)
        ):
            parents, placed = placed, []  # Photoshop lists the picture that it opened as a component
        parts = [_history(manifests, str(each.get("active_manifest")), failures, seen) for each in placed]
        history.append(_signed(manifest, actions, frozenset(failures.get(label, ())), [part for part in parts if part]))
        if history[-1].created:
            break
        label = next((str(each["active_manifest"]) for each in parents if each.get("active_manifest")), "")
    return history


def _signed(
    manifest: Mapping[str, Any],
    actions: Sequence[Mapping[str, Any]],
    failures: frozenset[str],
    parts: Sequence[Sequence[Signed]],
) -> Signed:
    signature = _mapping(manifest.get("signature_info"))
    issuer, name = str(signature.get("issuer") or "an unnamed signer"), str(signature.get("common_name") or "")
    signer = f"{issuer} ({name})" if name and name != issuer else issuer
    information = _mapping(next(iter(_list(manifest.get("claim_generator_info"))), None))
    program = str(information.get("name") or manifest.get("claim_generator") or "")
    said = any(
        _mapping(each).get("label") == "c2pa.ai_generated_content"
        and _mapping(_mapping(each).get("data")).get("ai_generated") is True
        for each in _list(manifest.get("assertions"))
    )
    return Signed(
        in_line(signer, 100), str(signature.get("time") or ""), in_line(program), actions, failures, parts, said
    )


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in _list(manifest.get("assertions")):
        if str(_mapping(assertion).get("label")).startswith("c2pa.actions"):
            for action in _list(_mapping(_mapping(assertion).get("data")).get("actions")):
                yield _mapping(action)


def _agent(action: Mapping[str, Any]) -> str:
    agent = action.get("softwareAgent")
    return str(_mapping(agent).get("name") if isinstance(agent, dict) else agent)


def all_failures(report: Mapping[str, Any]) -> frozenset[str]:
    """Return the codes of what fails today, of the newest manifest and of its ingredients."""
    today = _mapping(report.get("validation_results"))
    items = list(_list(_mapping(today.get("activeManifest")).get("failure")))
    for delta in _list(today.get("ingredientDeltas")):
        items += _list(_mapping(_mapping(delta).get("validationDeltas")).get("failure"))
    return frozenset(str(_mapping(item).get("code")) for item in items)


def _failures(report: Mapping[str, Any], manifests: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """Return the codes of what failed, by manifest.

    The verifier's state speaks of the newest signer alone: an earlier version counts as trusted in it even
    where its signer is unknown, or where it had been changed before it was opened. Those failures are what was
    recorded when it was opened, corrected by what holds today.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for manifest in manifests.values():
        for ingredient in _list(_mapping(manifest).get("ingredients")):
            recorded = _mapping(ingredient)
            then = _mapping(_mapping(recorded.get("validation_results")).get("activeManifest"))
            label = str(recorded.get("active_manifest"))
            for item in (*_list(then.get("failure")), *_list(recorded.get("validation_status"))):
                found[label].add(str(_mapping(item).get("code")))
    today = _mapping(report.get("validation_results"))
    for item in _list(_mapping(today.get("activeManifest")).get("failure")):
        found[str(report.get("active_manifest"))].add(str(_mapping(item).get("code")))
    for delta in _list(today.get("ingredientDeltas")):
        changes = _mapping(_mapping(delta).get("validationDeltas"))
        for item in map(_mapping, _list(changes.get("failure"))):
            found[_label(item)].add(str(item.get("code")))
        for item in map(_mapping, _list(changes.get("success"))):
            if item.get("code") == "signingCredential.trusted":
                found[_label(item)].discard(UNTRUSTED)
    return found


def _label(item: Mapping[str, Any]) -> str:
    match = _LABEL.search(str(item.get("url")))
    return match[1] if match else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()

"""Labels that standards define for saying how a picture came about: IPTC's source type and GB 45438's AIGC."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from d2f import Evidence
from d2f_provenance.containers import Block
from d2f_provenance.evidence import FORGEABLE, FORGEABLE_GENERATED, bounded, in_line
from d2f_provenance.fields import AIGC, IPTC_EXT, PHOTOSHOP, Exif, Xmp, as_object, decoded, read_iim


@dataclass(frozen=True, slots=True)
class SourceType:
    """One term of IPTC's digital source types.

    Parameters
    ----------
    term : str
        Last part of the URI.
    says : {'generated', 'partly', 'camera', 'human', 'neither'}
        ``'partly'``: a part of the picture is generated; such pictures are neither label of d2f.
    meaning : str
        What the term states of the picture, to follow "that".
    """

    term: str
    says: Literal["generated", "partly", "camera", "human", "neither"]
    meaning: str


SOURCE_TYPES = {
    each.term: each
    for each in (
        SourceType("trainedAlgorithmicMedia", "generated", "generative AI made the picture"),
        SourceType(
            "compositeWithTrainedAlgorithmicMedia", "partly", "generative AI edited the picture or made a part of it"
        ),
        SourceType("compositeSynthetic", "partly", "the picture is a composite with at least one generated part"),
        SourceType("digitalCapture", "camera", "a digital camera took the picture"),
        SourceType("computationalCapture", "camera", "a camera took the picture, merging several frames"),
        SourceType("compositeCapture", "camera", "the picture is a composite of camera pictures"),
        SourceType("negativeFilm", "neither", "the picture was scanned from a film negative"),
        SourceType("positiveFilm", "neither", "the picture was scanned from a film positive"),
        SourceType("print", "neither", "the picture was scanned from a print"),
        SourceType("humanEdits", "human", "a person edited the picture without generative AI"),
        SourceType("minorHumanEdits", "human", "a person edited the picture slightly"),
        SourceType("digitalCreation", "human", "a person made the picture with drawing or design tools"),
        SourceType("digitalArt", "human", "a person made the picture with digital tools"),
        SourceType("algorithmicallyEnhanced", "neither", "an algorithm enhanced the picture"),
        SourceType("algorithmicMedia", "neither", "a formula, not a trained model, made the picture"),
        SourceType("composite", "neither", "the picture is a composite"),
        SourceType("dataDrivenMedia", "neither", "the picture was drawn from data"),
        SourceType("softwareImage", "neither", "software made the picture"),
        SourceType("virtualRecording", "neither", "the picture records a virtual scene"),
        SourceType("screenCapture", "neither", "the picture is a capture of a screen, whatever was on it"),
        SourceType("empty", "neither", "the picture began empty"),
        SourceType("trainedAlgorithmicData", "neither", "a trained model made the picture's data"),
    )
}
"""IPTC NewsCodes digitalsourcetype and C2PA's two additions, by term."""

_TERM = re.compile(r"(?:.*[/:])?(\w+)/?")


def source_type(value: object) -> SourceType | None:
    """Return the term that a URI, a QCode or a bare term names, None where it is none of IPTC's or C2PA's."""
    match = _TERM.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 400 else None
    return SOURCE_TYPES.get(match[1]) if match else None


GOOGLE_CREDIT = "made with google ai"


def label_evidence(blocks: Sequence[Block], exif: Sequence[Exif], xmp: Sequence[Xmp]) -> Iterator[Evidence]:
    """Yield what XMP, IPTC datasets, texts and EXIF say by these labels."""
    for packet in xmp:
        yield from _source_types(packet)
        yield from _systems(packet)
        if packet.get(PHOTOSHOP, "Credit").lower() == GOOGLE_CREDIT:
            yield _google(f"{packet.source} XMP photoshop:Credit", packet.get(PHOTOSHOP, "Credit"))
        yield from _aigc(packet.get(AIGC, "AIGC"), f"{packet.source} XMP TC260:AIGC")
    for source, record, number, value in read_iim(blocks):
        if (record, number) == (2, 110) and decoded(value).strip("\0 ").lower() == GOOGLE_CREDIT:
            yield _google(f"{source} IPTC 2:110 Credit", decoded(value))
    for block in blocks:
        if block.kind == "text" and block.key == "AIGC":
            yield from _aigc(decoded(block.data), f"{block.source} AIGC")
    for each in exif:
        inside = as_object(each.comment).get("AIGC")
        yield from _aigc_label(inside, f"{each.source} EXIF UserComment", each.comment)


def _source_types(xmp: Xmp) -> Iterator[Evidence]:
    seen = set()
    for name in ("DigitalSourceType", "DigitalSourceFileType"):
        value = xmp.get(IPTC_EXT, name)
        found = source_type(value)
        if not value or (found and found.term in seen):
            continue
        seen.add(found.term if found else "")
        source = f"{xmp.source} XMP {name}"
        if found is None:
            statement = f"The IPTC source type names an unknown term: {in_line(value)}."
            yield Evidence("iptc", statement, source, FORGEABLE, raw=bounded(value))
            continue
        statement = f"The IPTC source type says that {found.meaning} ({found.term})."
        llr = FORGEABLE_GENERATED if found.says == "generated" else 0.0
        yield Evidence("iptc", statement, source, FORGEABLE, llr, bounded(value))


def _systems(xmp: Xmp) -> Iterator[Evidence]:
    """Yield the IPTC 2025.1 statement of the AI system that generated the picture."""
    system, version = xmp.get(IPTC_EXT, "AISystemUsed"), xmp.get(IPTC_EXT, "AISystemVersionUsed")
    if not system:
        return
    name = in_line(f"{system} {version}".strip())
    prompt = xmp.get(IPTC_EXT, "AIPromptInformation")
    raw = bounded(f"{name}; prompt: {prompt}" if prompt else name)
    statement = f"The IPTC fields name an AI system that generated the picture: {name}."
    yield Evidence("iptc", statement, f"{xmp.source} XMP AISystemUsed", FORGEABLE, FORGEABLE_GENERATED, raw)


def _google(source: str, raw: str) -> Evidence:
    statement = 'The credit line says "Made with Google AI".'
    return Evidence("iptc", statement, source, FORGEABLE, FORGEABLE_GENERATED, bounded(raw))


def _aigc(text: str, source: str) -> Iterator[Evidence]:
    if text:
        found = as_object(text)
        yield from _aigc_label(found.get("AIGC", found), source, text)


_AIGC_LABELS = {
    "1": ("is AI-generated", FORGEABLE_GENERATED),
    "2": ("may be AI-generated", 0.0),
    "3": ("is suspected to be AI-generated", 0.0),
}


def _aigc_label(fields: object, source: str, raw: str) -> Iterator[Evidence]:
    """Yield the statement of a label of GB 45438-2025: 1 is, 2 may be, 3 is suspected."""
    if not isinstance(fields, dict) or not isinstance(fields.get("Label"), str | int):
        return
    found = _AIGC_LABELS.get(str(fields["Label"]).strip())
    if found is None or isinstance(fields["Label"], bool):
        return
    producer = fields.get("ContentProducer")
    by = f", producer {in_line(producer, 40)}" if isinstance(producer, str) and producer else ""
    statement = f"The Chinese AIGC label (GB 45438) says that the picture {found[0]}{by}."
    yield Evidence("aigc-label", statement, source, FORGEABLE, found[1], bounded(raw))

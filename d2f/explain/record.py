"""A report as data: its record, the published schema, and verification against an image.

What concerns a person rather than the picture (location, serial numbers, local paths, raw fields) is left out unless
the report is `full`: `scrubbed` is the one place where that is done.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.api.inputs import ImageFile, Note
from d2f.api.outcomes import Evidence
from d2f.api.rows import Failure, Member, Missing, Row, encodable
from d2f.chain.chain import Chain, load_chain, load_shipped, shipped_names
from d2f.chain.words import percent
from d2f.explain.map import KINDS
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.explain.explain import Explanation

VERSION = 1
SCHEMA = "https://d2f.readthedocs.io/report.schema.json"

TOLERANCE = 5e-4
"""Differences of numbers, absolute and relative, that another processor or library may cause."""

_PRIVATE = re.compile(
    r"(?<![\w/])(?:file:/+|[A-Za-z]:[\\/]|\\\\|/(?!/))(?=[^\s,;])[^,;]*?(?=[,;]|\.?$)"
    r"|(?<![\w-])[\w-]*\d{6}[\w-]*"
)
"""In a statement: a local path, to the end of its clause since it may hold blanks; a number as long as a serial one."""


def scrubbed(row: Row, full: bool) -> Row:
    """Return a row for a report: as it is where `full`, else without local paths, serial numbers and raw fields."""
    if full:
        return row
    folder, name = os.path.split(row.path)
    # A relative folder goes with its separator: one that is called "real" is no reason to change that word.
    around = [one if os.path.isabs(one) else one + os.sep for one in (folder, str(Path.home()), str(Path.cwd())) if one]
    private = {row.path: name or row.path, **{one: "…" for one in around if len(one) > 1}}

    def clean(text: str | None) -> str | None:
        for path, shown in private.items() if text else ():
            text = (text or "").replace(path, shown)
        return text

    def failure(found: Failure | None) -> Failure | None:
        return None if found is None else replace(found, message=clean(found.message) or "")

    def member(one: Member) -> Member:
        return replace(one, abstained=clean(one.abstained), error=failure(one.error), evidence=clean(one.evidence))

    return replace(
        row,
        path=name or row.path,
        notes=tuple(replace(one, message=clean(one.message) or "") for one in row.notes),
        missing=tuple(replace(one, reason=clean(one.reason) or "") for one in row.missing),
        evidence=tuple(replace(one, statement=_PRIVATE.sub("…", one.statement), raw="") for one in row.evidence),
        stages=tuple(map(member, row.stages)),
        error=failure(row.error),
    )


def report_of(chain: Chain, explanations: Sequence[Explanation], full: bool) -> dict[str, Any]:
    """Return a report as plain data, by the published schema."""
    return {**head_of(chain, full), "images": [image_of(one) for one in explanations]}


def head_of(chain: Chain, full: bool) -> dict[str, Any]:
    """Return what a report says before its images."""
    rule = chain.file.verdict
    return {
        "$schema": SCHEMA,
        "report": VERSION,
        "d2f": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "full": full,
        "chain": {
            "name": chain.name,
            "origin": chain.origin if full else os.path.basename(chain.origin),
            "digest": chain.digest,
            "description": chain.file.description,
            "prior": chain.prior,
            "real_below": rule.real_below,
            "generated_above": rule.generated_above,
            "false_positive_rate": rule.false_positive_rate,
            "miss_rate": rule.miss_rate,
            "allow_missing": chain.plan.allow_missing,
        },
    }


def image_of(one: Explanation) -> dict[str, Any]:
    """Return an image's part of a report."""
    maps = [
        {
            "kind": found.kind,
            "side": found.side,
            "values": [[None if math.isnan(cell) else round(cell, 3) for cell in row] for row in found.values.tolist()],
            "mask": found.mask.tolist(),
        }
        for found in one.maps
    ]
    return {"row": row_of(one.row, one.full), "quality": dict(quality_of(one)), "maps": maps}


def row_of(row: Row, full: bool) -> dict[str, Any]:
    """Return a row's part of a report."""
    found = scrubbed(row, full).to_dict()
    if not full:
        del found["path_bytes"]
    return found


def dumped(report: Mapping[str, Any]) -> str:
    """Return a report as JSON text."""
    return encodable(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)) + "\n"


def quality_of(one: Explanation) -> list[tuple[str, str]]:
    """Return what is known of the picture's quality: names and values in words."""
    row, found = one.row, list[tuple[str, str]]()
    if row.width and row.height:
        found.append(("Size", f"{row.width} x {row.height} pixels, {row.width * row.height / 1e6:.1f} megapixels"))
    found.append(("Format", row.format or ("not known" if row.error else "none: only pixels were given")))
    if row.frames and row.frames > 1:
        found.append(("Frames", f"{row.frames}, of which one was judged"))
    if one.image is None:
        return found
    if one.image.data:
        found.append(("File", f"{len(one.image.data):,} bytes"))
        if quality := _jpeg_quality(one.image):
            found.append(("JPEG quality, estimated", quality))
    found += [(f"Area {name}", percent(share) if share else "none") for name, share in one.masked.items()]
    seen = [1.0 if member.seen is None else member.seen for member in row.stages if member.score is not None]
    if seen:
        found.append(("Looked at", f"{max(seen):.0%} of the pixels, by the detector that looked at most"))
    return found


LUMINANCE = 57.625
"""Mean of the luminance table in ITU-T T.81, annex K, which the IJG's libraries scale by the quality."""


def _jpeg_quality(image: ImageFile) -> str:
    """Return the quality by the IJG's scale, estimated from the mean of the luminance table; empty of no JPEG."""
    if image.format != "JPEG":
        return ""
    from d2f.images.formats import open_as

    try:
        table = open_as("JPEG", image.data).quantization[0]  # type: ignore[attr-defined]
    except Exception:  # the file was decoded, but its tables are not where Pillow looks for them
        return ""
    scale = 100 * sum(table) / len(table) / LUMINANCE
    quality = 100 - scale / 2 if scale <= 100 else 5000 / scale
    return f"about {max(1, min(100, round(quality)))}"


def identity_of(one: Explanation) -> list[tuple[str, str]]:
    """Return what identifies a result."""
    row = one.row
    what = "sha256 of the file" if row.format or row.error else "sha256 of the pixels"
    found = [(what, row.sha256 or "not known"), ("Chain", f"{row.chain}"), ("Chain digest", row.chain_digest)]
    found.append(("d2f", __version__))
    found += [("Plugin", f"{name} {version}") for name, version in row.plugins.items()]
    return found


def private_fields(one: Explanation) -> list[tuple[str, str]]:
    """Return the EXIF fields of a file, bounded in number and length, for a full report."""
    from PIL import Image
    from PIL.ExifTags import GPSTAGS, IFD, TAGS

    raw = one.image.info.get("exif") if one.image is not None else None
    if not isinstance(raw, bytes):
        return []
    found: list[tuple[str, str]] = []
    try:
        exif = Image.Exif()
        exif.load(raw)
        for tags, fields in ((TAGS, exif), (TAGS, exif.get_ifd(IFD.Exif)), (GPSTAGS, exif.get_ifd(IFD.GPSInfo))):
            found += [(str(tags.get(tag, tag)), str(value)[:200]) for tag, value in fields.items()]
    except Exception:  # damaged metadata of any kind: the picture itself is sound
        return found[:100]
    return found[:100]


@dataclass(frozen=True, slots=True)
class Verified:
    """One check of a report: what was compared, whether it holds, and what was found."""

    what: str
    holds: bool
    found: str


MOST_BYTES = 2**30
"""Of a report that is read."""


def read_report(path: str) -> dict[str, Any]:
    """Read a report; D2F608 where it is none of this version."""
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise ValueError(f"it holds more than {MOST_BYTES} bytes")
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except FileNotFoundError:
        raise D2FError.of("D2F002", f"'{path}' not found") from None
    except (OSError, ValueError, RecursionError) as error:
        raise D2FError.of("D2F608", f"'{path}' cannot be read as a report: {error}") from None
    if not isinstance(report, dict) or report.get("report") != VERSION:
        raise D2FError.of("D2F608", f"'{path}' is no report of d2f, version {VERSION}", "expected: a report.json")
    try:
        chain, images = dict(report["chain"]), [dict(one["row"]) for one in report["images"]]
        if not 0 < chain["prior"] < 1 or not all(isinstance(chain[one], str) for one in ("name", "origin", "digest")):
            raise ValueError
        if not all(isinstance(row["sha256"], str | None) for row in images):
            raise ValueError
        return {**report, "chain": chain, "images": images}
    except (KeyError, TypeError, ValueError):
        raise D2FError.of("D2F608", f"'{path}' lacks what the schema of reports asks for: d2f report schema") from None


def verify(path: str, image: str, chain_name: str | None = None, trust_list: str | None = None) -> Iterator[Verified]:
    """Recompute an image's digest, the chain's digest and facts, and the row; compare them with a report.

    Every row that the report has of the image is compared. `NOT_CHECKED` is not.

    D2F002, or the reader's code, where the image cannot be read: nothing is known of it then.
    """
    from d2f.images.memory import InMemory, load
    from d2f.images.read import Unread

    report = read_report(path)
    loaded = load(image)
    if isinstance(loaded, Unread) and loaded.sha256 is None:
        code = loaded.failure.code if os.path.exists(image) else "D2F002"
        raise D2FError.of(code, f"'{image}' cannot be compared with the report: {loaded.failure.message}")
    rows = [row for row in report["images"] if row["sha256"] == loaded.sha256]
    source: str | InMemory = image
    if not rows and isinstance(loaded, ImageFile):
        source = InMemory("", loaded.pixels)
        pixels = load(source)
        rows = [row for row in report["images"] if row["sha256"] == pixels.sha256]
        loaded = pixels if rows else loaded
    if not rows:
        others = {row["sha256"] for row in report["images"]}
        known = f"the report has {next(iter(others))}" if len(others) == 1 else f"none of the report's {len(others)}"
        yield Verified("sha256", False, f"{loaded.sha256}: {known}")
        return
    yield Verified("sha256", True, str(loaded.sha256))
    stated = report["chain"]
    chain = _chain_of(stated, chain_name).with_trust_list(trust_list)
    same = chain.digest == stated["digest"]
    yield Verified("chain digest", same, chain.digest if same else f"{chain.digest}: the report has {stated['digest']}")
    if chain.plan.decision is not None and stated["prior"] != chain.prior:
        chain = chain.with_prior(stated["prior"])
    full = bool(report.get("full"))
    facts = head_of(chain, full)["chain"]
    keys = [key for key in {**stated, **facts} if key not in ("origin", "digest")]
    wrong = [_difference(key, stated.get(key), facts.get(key)) for key in keys if stated.get(key) != facts.get(key)]
    found = "; ".join(wrong[:5]) or "name, description, prior, thresholds and rates"
    yield Verified("chain", not wrong, f"{chain.origin}: {found}")
    now = row_of(chain.judge_loaded(loaded, source), full)
    differing = [line for row in rows for line in row_differences(row, now, "")]
    yield Verified("row", not differing, "; ".join(differing[:5]) or f"{now['verdict']}, {now['probability']}")


NOT_CHECKED = "maps, quality facts, date, version of d2f, and the page itself"
"""Of a report, by `verify`."""


def _chain_of(stated: Mapping[str, Any], given: str | None) -> Chain:
    """Return the chain `given`, or else the shipped one that a report names: a report says of no file to open it."""
    allow, name = bool(stated.get("allow_missing")), stated["origin"]
    if given is not None:
        return load_chain(given, allow_missing=allow)
    if name not in shipped_names():
        message = f"the report names the chain {name[:200]!r}, which does not ship with d2f"
        raise D2FError.of("D2F130", message, "give the chain's file: --chain FILE")
    return load_shipped(name, allow_missing=allow)


NOT_COMPARED = {"path", "path_bytes", "chain_digest"}


def row_differences(stated: Any, found: Any, where: str) -> Iterator[str]:
    """Yield where two rows differ, numbers within `TOLERANCE`."""
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys([*stated, *found]):
            if where or key not in NOT_COMPARED:
                yield from row_differences(stated.get(key), found.get(key), f"{where}.{key}" if where else str(key))
    elif isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        for number, pair in enumerate(zip(stated, found, strict=True)):
            yield from row_differences(*pair, f"{where}[{number}]")
    elif _is_number(stated) and _is_number(found):
        if not math.isclose(stated, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{where}: {stated} in the report, {found} now"
    elif stated != found:
        yield _difference(where, stated, found)


def _difference(where: str, stated: Any, found: Any) -> str:
    return f"{where}: {json.dumps(stated)[:60]} in the report, {json.dumps(found)[:60]} now"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TEXT, NUMBER, WHOLE, FLAG = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}


def report_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a record."""
    row = _row_schema()
    image = _record(
        {
            "row": row,
            "quality": {"type": "object", "additionalProperties": TEXT, "description": "The picture's facts in words."},
            "maps": {"type": "array", "items": _map()},
        }
    )
    chain = {
        "name": TEXT,
        "origin": {**TEXT, "description": "What the chain was loaded by; of a path its last part, unless `full`."},
        "digest": TEXT,
        "description": TEXT,
        "prior": NUMBER,
        "real_below": NUMBER,
        "generated_above": NUMBER,
        "false_positive_rate": NUMBER,
        "miss_rate": NUMBER,
        "allow_missing": FLAG,
    }
    top = {
        "$schema": {"const": SCHEMA},
        "report": {"const": VERSION, "description": "Version of this format."},
        "d2f": TEXT,
        "created": {"type": "string", "format": "date-time"},
        "full": {**FLAG, "description": "Whether location, serial numbers, local paths and raw fields were kept."},
        "chain": _record(chain),
        "images": {"type": "array", "items": image},
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, "title": "A report of d2f"}
    return {**head, **_record(top)}


def _record(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _field_schemas(kind: type[Any], **special: dict[str, Any]) -> dict[str, Any]:
    """Return a property for each field of a row's part: a text unless `special` says otherwise."""
    return {name: special.get(name, TEXT) for name in kind.__dataclass_fields__}


def _row_schema() -> dict[str, Any]:
    failure = _or_null(_record(_field_schemas(Failure)))
    numbers = dict.fromkeys(("score", "probability", "contribution", "seen"), _or_null(NUMBER))
    texts = dict.fromkeys(("abstained", "evidence"), _or_null(TEXT))
    member = _field_schemas(Member, **numbers, **texts, error=failure)
    del member["tiles"]
    row = _field_schemas(
        Row,
        sha256=_or_null({**TEXT, "pattern": "^[0-9a-f]{64}$"}),
        width=_or_null(WHOLE),
        height=_or_null(WHOLE),
        format=_or_null(TEXT),
        frames=_or_null(WHOLE),
        probability=_or_null(NUMBER),
        verdict={"enum": ["generated", "real", "inconclusive", None]},
        llr=_or_null(NUMBER),
        notes={"type": "array", "items": _record(_field_schemas(Note))},
        missing={"type": "array", "items": _record(_field_schemas(Missing))},
        disagreements={"type": "array", "items": TEXT},
        evidence={"type": "array", "items": _record(_field_schemas(Evidence, llr=NUMBER))},
        llr_provenance=_or_null(NUMBER),
        probability_with_provenance=_or_null(NUMBER),
        stages={"type": "array", "items": _record(member)},
        plugins={"type": "object", "additionalProperties": TEXT},
        error=failure,
    )
    row["path_bytes"] = _or_null(TEXT)
    return _record(row, optional=("path_bytes",))


def _map() -> dict[str, Any]:
    cells = {"type": "array", "items": {"type": "array", "items": _or_null(NUMBER)}}
    masks = {"type": "array", "items": {"type": "array", "items": WHOLE}}
    return _record(
        {
            "kind": {"enum": list(KINDS)},
            "side": {**WHOLE, "description": "Of a tile, in pixels."},
            "values": {**cells, "description": "Nats towards generated, row by row; null where not measured."},
            "mask": {**masks, "description": "0 reliable, 1 flat, 2 clipped, 3 over-compressed."},
        }
    )

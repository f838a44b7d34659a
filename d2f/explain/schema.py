"""The JSON schema (draft 2020-12) of a report's record."""

from __future__ import annotations

from typing import Any

from d2f.api.inputs import Note
from d2f.api.outcomes import Evidence
from d2f.api.rows import Failure, Member, Missing, Row
from d2f.explain.map import KINDS
from d2f.explain.record import SCHEMA, VERSION

TEXT, NUMBER, WHOLE, FLAG = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}


def report_schema() -> dict[str, Any]:
    """Return the schema."""
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

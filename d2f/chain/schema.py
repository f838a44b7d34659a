"""The JSON schema of chain files, for editors: the file's own models, and the options of every stage that is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from d2f.chain.model import IDENTIFIER, ChainFile
from d2f.engine.plan import PLAIN
from d2f.plugins.catalog import Catalog

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CELL = f"^{IDENTIFIER.pattern}/{IDENTIFIER.pattern}$"

Schema = dict[str, Any]

STAGES = {"preprocessor": "StageUse", "detector": "DetectorUse", "combiner": "Combine", "calibrator": "StageUse"}
"""The model that each kind of stage is written as."""


def chain_schema(catalog: Catalog) -> Schema:
    """Return the JSON schema (draft 2020-12) of a chain file.

    Parameters
    ----------
    catalog : Catalog
        Whose stages may be used; their options are part of the schema.
    """
    schema = ChainFile.model_json_schema(by_alias=True)
    models = schema.pop("$defs")
    definitions = {name: models[name] for name in ("VerdictRule", "Fitted")}
    for kind, model in STAGES.items():
        definitions[kind] = _stage(kind, models[model], catalog, definitions)
    _point(schema["properties"])
    # Left out, it is the stage's own name, which no default can say.
    definitions["detector"]["properties"]["id"].pop("default")
    combine = definitions["combiner"]["properties"]
    combine["calibrate"] = {"$ref": "#/$defs/calibrator", "description": combine["calibrate"]["description"]}
    schema["$defs"] = definitions
    tidy = _without_titles(schema)
    return {"$schema": DIALECT, "title": "d2f chain file", **tidy}


def _point(properties: Schema) -> None:
    """Point the places where stages stand at the definition of their kind."""
    properties["detectors"]["items"] = {"$ref": "#/$defs/detector"}
    views = properties["views"]
    views["additionalProperties"]["items"] = {"$ref": "#/$defs/preprocessor"}
    views["propertyNames"] = {"pattern": f"^{IDENTIFIER.pattern}$", "not": {"const": PLAIN}}
    calibrate = properties["calibrate"]
    calibrate["additionalProperties"] = {"$ref": "#/$defs/calibrator"}
    calibrate["propertyNames"] = {"pattern": CELL}
    properties["combine"] = {"$ref": "#/$defs/combiner"}
    for name in ("combine", "verdict", "fitted"):
        properties[name]["description"] = ChainFile.model_fields[name].description


def _stage(kind: str, model: Mapping[str, Any], catalog: Catalog, definitions: Schema) -> Schema:
    """Return the schema of a stage of one kind: names that there are, and for each its options."""
    stages = catalog.stages(kind)
    use = model["properties"]["use"]
    rules = []
    for stage in stages:
        options, inner = _options(kind, stage)
        definitions |= inner
        needs = ["with"] if options.get("required") else []
        chosen: Schema = {"properties": {"use": {"const": stage.name}}}
        if use.get("default") != stage.name:
            chosen["required"] = ["use"]
        rules.append({"if": chosen, "then": {"properties": {"with": options}, "required": needs}})
    summaries = [{"const": stage.name, "description": stage.summary} for stage in stages]
    properties = {**model["properties"], "use": {**use, **({"oneOf": summaries} if stages else {})}}
    return {**model, "properties": properties, "allOf": rules} if rules else {**model, "properties": properties}


def _options(kind: str, stage: Any) -> tuple[Schema, Schema]:
    """Return the schema of a stage's options, and the definitions that it refers to."""
    from pydantic.errors import PydanticUserError

    prefix = f"{kind}.{stage.name}"
    try:
        schema = stage.Options.model_json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}.{{model}}")
    except PydanticUserError:
        return {"type": "object"}, {}
    inner = {f"{prefix}.{name}": value for name, value in schema.pop("$defs", {}).items()}
    schema["description"] = f"Options of {stage.name}. {stage.summary}"
    return schema, inner


def _without_titles(value: Any) -> Any:
    """Return a schema without the titles that pydantic makes of the fields' names."""
    if isinstance(value, Mapping):
        return {key: _without_titles(inner) for key, inner in value.items() if not _is_title(key, inner)}
    return [_without_titles(inner) for inner in value] if isinstance(value, list) else value


def _is_title(key: str, value: object) -> bool:
    # An option may be called title; its schema is no text.
    return key == "title" and isinstance(value, str)

"""The JSON schema of chain files, for editors: the file's own models, and the options of every stage that is loaded."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from d2f.api.inputs import ProtocolName
from d2f.engine.plan import PLAIN
from d2f.plugins.catalog import Catalog

FORMAT_VERSION = 1
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SHAPE = "lower-case letters, digits, - and _, at most 64, a letter or digit first"


def _identifier(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ValueError(f"must be {SHAPE}")
    return text


Identifier = Annotated[
    str,
    AfterValidator(_identifier),
    WithJsonSchema({"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"}),
]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class ChainModel(BaseModel):
    """Base of all parts of a chain file: frozen, no unknown key, text is no number and a number no text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StageUse(ChainModel):
    """A stage by name, with its options."""

    use: str = Field(description="Name of the stage, as `d2f plugin list` shows it.")
    with_: dict[str, Any] = Field(default={}, alias="with", description="The stage's own options.")


class DetectorUse(StageUse):
    """A detector and the views that it looks at."""

    id: Identifier = Field(
        default="", description="The detector's name in this chain; members are called id/view. Left out: `use`."
    )
    views: list[Identifier] = Field(
        default=["plain"], min_length=1, description="Views that the detector looks at; `plain` is the image itself."
    )

    @model_validator(mode="before")
    @classmethod
    def _id_defaults_to_use(cls, value: Any) -> Any:
        use = value.get("use") if isinstance(value, dict) else None
        if isinstance(use, str) and "id" not in value and IDENTIFIER.fullmatch(use):
            return {**value, "id": use}
        return value


class Combine(StageUse):
    """How the members' probabilities become one."""

    use: str = Field(default="logit-mean", description="Name of the combiner.")
    need: int = Field(
        default=1, ge=1, description="With fewer members that have a probability, the verdict is `inconclusive`."
    )
    calibrate: StageUse | None = Field(
        default=None, description="Calibrator of the combined log-likelihood ratio; written by `d2f chain fit`."
    )


class VerdictRule(ChainModel):
    """From the probability to `generated`, `real` or `inconclusive`."""

    prior: float = Field(default=0.5, gt=0.0, lt=1.0, description="Probability of `generated` before looking.")
    real_below: Probability = Field(default=0.35, description="A probability below this is `real`.")
    generated_above: Probability = Field(default=0.65, description="A probability above this is `generated`.")
    false_positive_rate: Probability = Field(
        default=0.05, description="Share of photographs that `d2f chain fit` may let be called `generated`."
    )
    miss_rate: Probability = Field(
        default=0.05, description="Share of generated images that `d2f chain fit` may let be called `real`."
    )
    stability: list[StageUse] | None = Field(
        default=None,
        description="Preprocessors that change a picture a little, each by itself; a verdict that one of them turns is "
        "`inconclusive`. Left out: none, and `d2f chain fit` writes a crop of one pixel.",
    )
    stable_within: float | None = Field(
        default=None,
        ge=0.0,
        description="Verdicts so near to a threshold, in nats, are tried under `stability`; `d2f chain fit` writes it. "
        "Left out: all are tried.",
    )


OofWeights = Annotated[
    dict[str, list[str]] | None,
    Field(description="By detector, sha256 of the weights that scored the images which its own were trained on."),
]


class RefittedThresholds(ChainModel):
    """What the thresholds alone were fitted on, after the rest."""

    data: str = Field(description="Digest of the images' digests and labels.")
    images: int = Field(ge=1, description="How many images.")
    real: int = Field(default=0, ge=0, description="How many of them are photographs.")
    generated: int = Field(default=0, ge=0, description="How many of them are generated.")
    collections: int = Field(default=0, ge=0, description="How many connected components of (collection, group).")
    protocol: ProtocolName = Field(default="as-found", description="Protocol that standardised the images.")
    date: Annotated[datetime.date, Field(strict=False)] = Field(description="When.")
    oof_weights: OofWeights = None


class Shift(RefittedThresholds):
    """What the chain's ratio was shifted on, after the fit."""

    nats: float = Field(description="What was added to the log-likelihood ratio.")
    share: Probability | None = Field(
        default=None, description="Where the images had no labels: the share of generated ones that was stated."
    )


class Fitted(ChainModel):
    """What the chain was fitted on; written by `d2f chain fit`."""

    data: str = Field(description="Digest of the images' digests and labels.")
    images: int = Field(ge=1, description="How many images.")
    real: int = Field(default=0, ge=0, description="How many of them are photographs.")
    generated: int = Field(default=0, ge=0, description="How many of them are generated.")
    collections: int = Field(default=0, ge=0, description="How many connected components of (collection, group).")
    protocol: ProtocolName = Field(default="whole", description="Protocol that standardised the images.")
    attacks: list[str] = Field(default=[], description="Attacks whose variants of the images were added.")
    date: Annotated[datetime.date, Field(strict=False)] = Field(description="When.")
    d2f: str = Field(description="Version of d2f.")
    weights: dict[str, str] = Field(default={}, description="sha256 of each weights file that was in use, by name.")
    oof_weights: OofWeights = None
    thresholds: RefittedThresholds | None = Field(
        default=None, description="What `d2f chain fit --thresholds-only` re-fitted the thresholds on."
    )
    shift: Shift | None = Field(default=None, description="What `d2f calibrate` shifted the ratio on.")


class ChainFile(ChainModel):
    """A chain file, format version 1."""

    d2f: Literal[1] = Field(description="Format version; checked first.")
    name: Identifier = Field(description="The chain's name, written in every row.")
    description: str = Field(default="", description="One line for a person.")
    images: list[str] = Field(
        default=[], description="Images, folders or globs, relative to this file, that a run without any takes."
    )
    views: dict[str, Annotated[list[StageUse], Field(min_length=1)]] = Field(
        default={}, description="Each view is a list of preprocessors, applied to the decoded image in order."
    )
    require: list[StageUse] = Field(
        default=[],
        description="Preconditions; where one fails, no detector is run and the verdict is `inconclusive`.",
    )
    evidence: list[StageUse] = Field(
        default=[], description="Evidence readers: what each file says about itself, reported beside the verdict."
    )
    detectors: list[DetectorUse] = Field(min_length=1, description="The detectors, each over one or more views.")
    calibrate: dict[str, StageUse] = Field(
        default={}, description="Calibrator of each member, by id/view; written by `d2f chain fit`."
    )
    combine: Combine = Field(default=Combine(), description="How the members' probabilities become one.")
    verdict: VerdictRule = Field(default=VerdictRule(), description="From the probability to a verdict.")
    fitted: Fitted | None = Field(default=None, description="What the chain was fitted on.")


DIALECT = "https://json-schema.org/draft/2020-12/schema"
MEMBER = f"^{IDENTIFIER.pattern}/{IDENTIFIER.pattern}$"
Schema = dict[str, Any]
STAGES = {
    "preprocessor": "StageUse",
    "precondition": "StageUse",
    "evidence": "StageUse",
    "detector": "DetectorUse",
    "combiner": "Combine",
    "calibrator": "StageUse",
}
"""The model that each kind of stage is written as."""


def chain_schema(catalog: Catalog) -> Schema:
    """Return the JSON schema (draft 2020-12) of a chain file."""
    schema = ChainFile.model_json_schema(by_alias=True)
    models = schema.pop("$defs")
    definitions = {name: models[name] for name in ("VerdictRule", "Fitted")}
    stability = definitions["VerdictRule"]["properties"]["stability"]["anyOf"][0]
    stability["items"] = {"$ref": "#/$defs/preprocessor"}
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
    properties["require"]["items"] = {"$ref": "#/$defs/precondition"}
    properties["evidence"]["items"] = {"$ref": "#/$defs/evidence"}
    views = properties["views"]
    views["additionalProperties"]["items"] = {"$ref": "#/$defs/preprocessor"}
    views["propertyNames"] = {"pattern": f"^{IDENTIFIER.pattern}$", "not": {"const": PLAIN}}
    calibrate = properties["calibrate"]
    calibrate["additionalProperties"] = {"$ref": "#/$defs/calibrator"}
    calibrate["propertyNames"] = {"pattern": MEMBER}
    properties["combine"] = {"$ref": "#/$defs/combiner"}
    for name in ("combine", "verdict", "fitted"):
        properties[name]["description"] = ChainFile.model_fields[name].description


def _stage(kind: str, model: Mapping[str, Any], catalog: Catalog, definitions: Schema) -> Schema:
    """Return the schema of a stage of one kind: names that there are, and for each its options."""
    stages = catalog.stages(kind)
    use = model["properties"]["use"]
    rules = []
    for stage in stages:
        options, inner = _options_schema(kind, stage)
        definitions |= inner
        needs = ["with"] if options.get("required") else []
        chosen: Schema = {"properties": {"use": {"const": stage.name}}}
        if use.get("default") != stage.name:
            chosen["required"] = ["use"]
        rules.append({"if": chosen, "then": {"properties": {"with": options}, "required": needs}})
    summaries = [{"const": stage.name, "description": stage.summary} for stage in stages]
    properties = {**model["properties"], "use": {**use, **({"oneOf": summaries} if stages else {})}}
    return {**model, "properties": properties, "allOf": rules} if rules else {**model, "properties": properties}


def _options_schema(kind: str, stage: Any) -> tuple[Schema, Schema]:
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
        # An option may be called title; its schema is no text.
        kept = ((key, inner) for key, inner in value.items() if key != "title" or not isinstance(inner, str))
        return {key: _without_titles(inner) for key, inner in kept}
    return [_without_titles(inner) for inner in value] if isinstance(value, list) else value

"""The reference page of chain files, made from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from d2f.chain import model
from d2f.chain.model import ChainFile, ChainModel, Combine, DetectorUse, Fitted, StageUse, VerdictRule
from d2f.plugins.errors import at, expected, schema_of

SECTIONS: tuple[tuple[str, type[ChainModel], str], ...] = (
    ("The file", ChainFile, "The keys at the top."),
    ("A stage", StageUse, "A step of a view, and a calibrator. `d2f plugin list` shows every stage and its options."),
    ("detectors", DetectorUse, "A detector looks at one or more views; each pair is a member, called `id/view`."),
    ("combine", Combine, "From the probabilities of an image's members to one log-likelihood ratio."),
    ("verdict", VerdictRule, "The probability is rounded to 4 decimals before it is compared."),
    ("fitted", Fitted, "`d2f chain fit` writes it; where weights are pinned, a chain with others does not run."),
)
"""Title, model and introduction of each section."""

HEAD = f"""# Chain files

A chain file says which detectors look at which views of an image, and how what they find becomes one verdict.
It is YAML 1.2, read strictly: a key stands once, `on` and `yes` are text, `1e-4` is a number; anchors, aliases,
tags and merge keys are refused. `d2f chain check` finds every problem at once, `d2f chain show` draws the chain,
`d2f chain schema` prints a JSON schema for editors. What may change about the format is settled in
[ADR 0002](../adr/0002-chain-file-format.md).

A name, below, is {model.SHAPE}. `plain` is the view that always exists: the image itself.

```yaml
d2f: 1
name: two-cues
views:
  denoised: [{{use: wiener, with: {{window: 7}}}}]
detectors:
  - {{use: noise-statistics, views: [plain, denoised]}}
```
"""
NAME = f"text that matches ^{model.IDENTIFIER.pattern}$"
TAIL = """## The digest

Every row carries the sha256 of what its chain's results depend on: the views that are looked at, the detectors in
their order, the options of every stage with their defaults, the digests of the weights, the calibrations, the
combination, the prior and the two thresholds. Names of the chain, descriptions, comments, the order of keys, the
spelling of numbers and what the chain was fitted on do not enter.
"""


def chain_file_page() -> str:
    """Return docs/reference/chain-file.md."""
    parts = [HEAD]
    for title, part, introduction in SECTIONS:
        parts.append(f"## {title}\n\n{introduction}\n\n" + "\n".join(keys_table(part)) + "\n")
    return "\n".join([*parts, TAIL])


def keys_table(part: type[BaseModel]) -> Iterator[str]:
    """Yield the lines of a Markdown table of a model's keys."""
    schema = schema_of(part) or {}
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in part.model_fields.items():
        key = field.alias or name
        takes = expected(schema, at(schema, (key,)) or {}).replace(NAME, "a name")
        default = _default(key, field.get_default(call_default_factory=True))
        yield f"| `{key}` | {takes} | {default} | {field.description} |"


def _default(key: str, value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "its keys' defaults"
    if value is None or (key == "id" and value == ""):
        return ""
    return f"`{json.dumps(value)}`"

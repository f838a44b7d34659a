"""Write the reference pages that are made from the code: `python docs/make_reference.py`.

A test holds the committed pages to what this makes, so that they cannot go stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2f_towers.towers import TOWERS
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from d2f import CODES, Exit, Weights
from d2f.chain import model
from d2f.chain.model import ChainFile, ChainModel, Combine, DetectorUse, Fitted, StageUse, VerdictRule
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS
from d2f.plugins.errors import at, expected, schema_of
from d2f.testing.kit import CHECKS
from d2f.train import recipe
from d2f.train.augment import OPERATIONS

DOCS = Path(__file__).resolve().parent
BAD = DOCS.parent / "tests" / "chains" / "bad"

ROOMS = {
    "0": ("The command line and its files", "Exit code 2, or 1 where other files went through."),
    "1": ("The chain file", "`d2f chain check CHAIN` prints all of them at once. Exit code 2."),
    "2": ("Plugins", "`d2f plugin check NAME` shows the traceback. Exit code 3 where the chain needs the plugin."),
    "3": ("Images", "The image's row carries the code in `error`; the others go on. Exit code 1."),
    "4": ("Stages at work", "The member carries the code in `error`; the image's other members stand. Exit code 1."),
    "5": ("Weights", "Exit code 3, but for missing weights, on which a stage abstains."),
    "6": ("Data, fitting and training", "Exit code 2."),
    "7": ("The server", "Answers of `d2f serve` carry the code in `error`, with the HTTP status of how-to/serve."),
}

PREPROCESSORS = """# Preprocessors

A preprocessor makes a view of a view: uint8 sRGB of three channels in, the same out. Filters work on each channel
alone; what d2f computes is rounded once, half to even, and clipped. Lists of preprocessors are the views of a chain
file, the attacks of the bench and the augmentations of training. What follows is each one's own card, the `README.md`
in its folder under `plugins/`.

**In a chain file** a step is `{use: wiener, with: {window: 7}}`.

**In one word** (the SPEC of `d2f attack` and of `--attack`) it is `wiener:window=7`. Steps are joined by `+`, a step's
options by commas, and the key of a step's first option may be left out: `wiener:7+noise:sigma=2`,
`jpeg:60,subsampling=4:4:4`. Values are read as YAML 1.2; `640x480` stands for the list `[640, 480]`; a text with
separators in it goes into quotes.

**Seeds** of random steps are drawn from the file's bytes, the step's position in its list and its options. The same
file gets the same noise in a chain, under `d2f attack` and in the bench.
"""

EXITS = {
    Exit.OK: "every image scored, every check passed",
    Exit.SOME_FAILED: "some image or member failed, or a figure fell",
    Exit.USAGE: "the command line, the chain file or the data is wrong",
    Exit.PLUGIN: "a plugin that the chain needs is broken",
    Exit.BUG: "a bug in d2f",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
    Exit.BROKEN_PIPE: "whoever read the output went away",
    Exit.TERMINATED: "terminated",
}


CHAIN_SECTIONS: tuple[tuple[str, type[ChainModel], str], ...] = (
    ("The file", ChainFile, "The keys at the top."),
    ("A stage", StageUse, "A step of a view, and a calibrator. `d2f plugin list` shows every stage and its options."),
    ("detectors", DetectorUse, "A detector looks at one or more views; each pair is a member, called `id/view`."),
    ("combine", Combine, "From the probabilities of an image's members to one log-likelihood ratio."),
    ("verdict", VerdictRule, "The probability is rounded to 4 decimals before it is compared."),
    ("fitted", Fitted, "`d2f chain fit` writes it; where weights are pinned, a chain with others does not run."),
)
"""Title, model and introduction of each section."""

CHAIN_HEAD = f"""# Chain files

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
CHAIN_TAIL = """## The digest

Every row carries the sha256 of what its chain's results depend on: the views that are looked at, the detectors in
their order, the options of every stage with their defaults, its version, its code and that of other plugins which it
imports, the digests of the weights, the calibrations, the combination, the prior and the two thresholds. Names of the
chain, descriptions, comments, the order of keys, the spelling of numbers and what the chain was fitted on do not enter.
"""


def chain_file_page() -> str:
    """Return docs/reference/chain-file.md."""
    parts = [CHAIN_HEAD]
    for title, part, introduction in CHAIN_SECTIONS:
        parts.append(f"## {title}\n\n{introduction}\n\n" + "\n".join(keys_table(part)) + "\n")
    return "\n".join([*parts, CHAIN_TAIL])


def keys_table(part: type[BaseModel]) -> Iterator[str]:
    """Yield the lines of a Markdown table of a model's keys."""
    schema = schema_of(part) or {}
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in part.model_fields.items():
        key = field.alias or name
        takes = expected(schema, at(schema, (key,)) or {}).replace(NAME, "a name")
        default = _default_of(key, field.get_default(call_default_factory=True))
        yield f"| `{key}` | {takes} | {default} | {field.description} |"


def _default_of(key: str, value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "its keys' defaults"
    if value is None or (key == "id" and value == ""):
        return ""
    return f"`{json.dumps(value)}`"


TESTING = """# Testing plugins

`from d2f.testing import check_stage` and one line hold a stage to its contract; `d2f plugin check NAME` does so on
the command line. With pytest three fixtures are there without an import. What follows is made from the code.

## What is checked

CHECKS

## Fixtures

::: d2f.testing.d2f_pytest

## Functions

::: d2f.testing
    options:
      show_root_heading: false
      show_root_toc_entry: false
      members: [check_stage, run_checks, Report, Result, catalog_of]

## Pictures

::: d2f.testing
    options:
      show_root_heading: false
      show_root_toc_entry: false
      members:
        - pictures
        - ordinary_pictures
        - flat_pictures
        - hard_pictures
        - camera_picture
        - upsampled_picture
        - image_file
        - write_labelled_set
"""


RECIPES = """# Recipes

A recipe says how `d2f train` makes the weights of a detector. It is YAML, read as strictly as a chain file: every
problem at once, each with its line. `train` names a trainable, as `d2f plugin list` shows it, and the trainable says
which keys there are: one with `build()` is a network, fitted step by step; one with `features()` is an estimator,
fitted in one fit to a table of features. See [Train a detector](../how-to/train-a-detector.md).
"""
NETWORK_KEYS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("data", recipe.NetworkDataSettings),
    ("start", recipe.StartSettings),
    ("tiles", recipe.TileSettings),
    ("copies", recipe.NetworkCopySettings),
    ("balance", recipe.BalanceSettings),
    ("augment", recipe.Augmentation),
    ("augment: one_of", recipe.Choice),
    ("loss", recipe.LossSettings),
    ("optimiser", recipe.OptimiserSettings),
    ("schedule", recipe.ScheduleSettings),
    ("stop", recipe.StopSettings),
)
ESTIMATOR_KEYS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("data", recipe.DataSettings),
    ("data: exclude, copies: measured_only", recipe.Having),
    ("copies", recipe.EstimatorCopySettings),
    ("augment", recipe.Variant),
    ("emphasis", recipe.Emphasis),
)


def recipes_page() -> str:
    """Return docs/reference/recipes.md."""
    parts = [RECIPES, _section("Of a network", recipe.NetworkRecipe)]
    parts += [_section(name, model, 3) for name, model in NETWORK_KEYS]
    parts.append("### Operations of training\n\nBeside every preprocessor, `augment` knows these.\n")
    parts += [_section(name, stage, 4, f"{(stage.__doc__ or '').strip()}\n\n") for name, stage in OPERATIONS.items()]
    parts.append(_section("Of an estimator", recipe.EstimatorRecipe))
    parts += [_section(name, model, 3) for name, model in ESTIMATOR_KEYS]
    return "\n".join(parts)


def _section(title: str, model: type[BaseModel], level: int = 2, introduction: str = "") -> str:
    lines = list(keys_table(model)) if model.model_fields else ["It has no options."]
    return f"{'#' * level} {title}\n\n{introduction}" + "\n".join(lines) + "\n"


def examples() -> dict[str, str]:
    """Return, for each code that a snapshot of a bad chain shows, the first text printed with it."""
    found: dict[str, str] = {}
    for snapshot in sorted(BAD.glob("*.txt")):
        for text in snapshot.read_text("utf-8").split("\n\n"):
            code = re.match(r"(?:error|warning)\[(D2F\d+)\]", text)
            if code and code[1] not in found:
                found[code[1]] = text.rstrip()
    return found


def errors_page() -> str:
    """Return docs/reference/errors.md."""
    printed = examples()
    lines = ["# Errors", "", "Every problem has a code, a place and a next step. Exit codes:", ""]
    lines += ["| exit code | meaning |", "|---|---|"]
    lines += [f"| {code.value} | {EXITS[code]} |" for code in Exit]
    lines += [""]
    room = ""
    for code, meaning in sorted(CODES.items()):
        if code[3] != room:
            room = code[3]
            title, note = ROOMS[room]
            lines += [f"## {title}", "", note, ""]
        lines += [f"### {code}", "", f"{meaning[0].upper()}{meaning[1:]}.", ""]
        if code in printed:
            lines += ["```text", printed[code], "```", ""]
    return "\n".join(lines)


def preprocessors_page() -> str:
    """Return docs/reference/preprocessors.md: what all of them share, and the card of each that d2f brings."""
    parts = [PREPROCESSORS]
    owners = dict.fromkeys(stage.__module__.partition(".")[0] for stage in Catalog.discover().stages("preprocessor"))
    for card in (DOCS.parent / "plugins" / owner / "README.md" for owner in owners):
        if card.is_file():
            parts.append(re.sub(r"^#", "##", card.read_text("utf-8"), flags=re.MULTILINE))
    return "\n".join(parts)


def testing_page() -> str:
    """Return docs/reference/testing.md: what the conformance kit holds of each kind, and its public names."""
    lines = []
    for kind, checks in CHECKS.items():
        lines += [f"### {KINDS[kind].plural.capitalize()}", "", "| check | what it means |", "|---|---|"]
        lines += [f"| {check.name} | {_sentence(check.run.__doc__)} |" for check in checks]
        lines.append("")
    return TESTING.replace("CHECKS\n", "\n".join(lines))


def stages_page() -> str:
    """Return docs/reference/stages.md: detectors and towers with licence, source, digest, agreement, time, AUC."""
    facts = YAML(typ="safe", pure=True).load((DOCS / "reference" / "stages.yaml").read_text("utf-8"))
    catalog = Catalog.discover()
    records, detectors = {record.name: record for record in catalog.weights}, catalog.names("detector")
    parts = [facts["introduction"], "## Detectors", "", *HEAD]
    for name, record in records.items():
        if (owner := name.partition("/")[0]) in detectors:
            parts.append(_row(record, facts["agreement"].get(name, facts["agreement"][owner]), facts))
    parts += ["", facts["others"], "## Towers", "", *HEAD]
    parts += [_row(records[name], facts["agreement"][tower.layout], facts) for name, tower in TOWERS.items()]
    return "\n".join(parts) + "\n"


HEAD = (
    "| weights | licence | source | digest | tried here | agrees with | seconds | measured |",
    "|---|---|---|---|---|---|--:|---|",
)


def _row(record: Weights, agreement: str, facts: dict[str, Any]) -> str:
    source = record.sources[0].partition("@")[0].removeprefix("https://").removesuffix("/model.safetensors")
    source = "ships" if source.startswith("package:") else source if len(source) < 60 else f"{source[:57]}…"
    tried = "no" if record.sources[0] in record.untested and record.name not in facts["tried"] else "yes"
    digest = f"`{record.sha256[:12]}`" if record.sha256 else "first pull"
    seconds, measured = str(facts["seconds"].get(record.name, "")), facts["measured"].get(record.name, "")
    return (
        f"| {' | '.join((f'`{record.name}`', record.licence, source, digest, tried, agreement, seconds, measured))} |"
    )


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


def report_schema_page() -> str:
    """Return the JSON schema of reports, as `d2f report schema` prints it."""
    from d2f.explain.record import report_schema

    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


PAGES = {
    "reference/errors.md": errors_page,
    "reference/chain-file.md": chain_file_page,
    "reference/preprocessors.md": preprocessors_page,
    "reference/recipes.md": recipes_page,
    "reference/testing.md": testing_page,
    "report.schema.json": report_schema_page,
    "reference/stages.md": stages_page,
}
"""Every generated page and what makes it."""


def main() -> None:
    """Write every generated page."""
    for name, make in PAGES.items():
        target = DOCS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(make(), "utf-8")


if __name__ == "__main__":
    main()

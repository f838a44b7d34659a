"""Lists of preprocessors in one word: the SPEC of ``d2f attack`` and of every ``--attack``.

``wiener:window=7``, ``wiener:7+noise:sigma=2``, ``jpeg:60,subsampling=4:4:4``, ``resize:size=640x480``; the grammar is
`d2f.engine.spec_text`'s, the values are `d2f.engine.spec_value`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from d2f.api.errors import D2FError, Exit, Problem
from d2f.engine.plan import Step
from d2f.engine.spec_text import OptionText, Piece, SpecText, StepText
from d2f.engine.spec_value import read_value, write_value
from d2f.engine.steps import make_step
from d2f.plugins.catalog import Catalog
from d2f.plugins.validation import Finding, findings, option_problem

KIND = "preprocessor"


def parse_spec(text: str, catalog: Catalog, origin: str = "SPEC") -> tuple[Step, ...]:
    """Build the steps that a SPEC names.

    Parameters
    ----------
    text : str
        Steps joined by ``+``, each ``name`` or ``name:key=value,key=value``; the key of a step's first
        option may be left out where the value is meant for the first one that the stage has.
    catalog : Catalog
        Where the preprocessors are looked up.
    origin : str
        What errors call the text, such as ``--attack``.

    Returns
    -------
    tuple of Step
        With the keys, and so the seeds, that a chain file's view of the same steps has.

    Raises
    ------
    D2FError
        Everything that is wrong, each with its place: D2F001 (grammar), D2F111 (unknown preprocessor),
        D2F114 (an option); with exit code 3 where nothing but a broken plugin is in the way.
    """
    spec = SpecText(text, origin)
    steps: list[Step] = []
    problems: list[Problem] = []
    exits: set[Exit] = set()
    for piece in spec.steps():
        try:
            steps.append(_step(spec, spec.step(piece), catalog))
        except D2FError as error:
            problems += error.problems
            exits.add(error.exit)
    if problems:
        raise D2FError(problems, Exit.PLUGIN if exits == {Exit.PLUGIN} else Exit.USAGE)
    return tuple(steps)


def format_spec(steps: Iterable[Step]) -> str:
    """Return the SPEC of steps: their first options, and the others where they differ from the default.

    Examples
    --------
    >>> from d2f.plugins.catalog import Catalog
    >>> format_spec(parse_spec("wiener:7 + jpeg:subsampling='4:4:4' + noise:2.0", Catalog.discover()))
    'wiener:window=7+jpeg:quality=90,subsampling=4:4:4+noise:sigma=2'
    """
    return "+".join(_written(step) for step in steps)


def _written(step: Step) -> str:
    facts = json.loads(step.key)
    model = type(step.stage).Options
    options = model.model_validate(facts["with"]).model_dump(mode="json", by_alias=True)
    shown = []
    for index, (name, field) in enumerate(model.model_fields.items()):
        key = field.alias or name
        value = options[key]
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if value != default or (index == 0 and value is not None):
            shown.append(f"{key}={write_value(value)}")
    return ":".join([facts["use"], ",".join(shown)] if shown else [facts["use"]])


def _step(spec: SpecText, step: StepText, catalog: Catalog) -> Step:
    stage = catalog.find(KIND, step.name.text, spec.place(step.name))
    options, keys = _options(spec, step, stage)
    wrong = findings(stage.Options, options)
    if wrong:
        raise D2FError([_located(spec, step, stage, keys, one) for one in wrong])
    return make_step(catalog, step.name.text, options)


def _options(spec: SpecText, step: StepText, stage: Any) -> tuple[dict[str, Any], Mapping[str, OptionText]]:
    """Return the options as plain data, and by name as they are written."""
    values: dict[str, Any] = {}
    written: dict[str, OptionText] = {}
    for option in step.options:
        key = option.key.text if option.key else _first_option(spec, option.value, step, stage)
        if key in values:
            raise spec.error(option.key or option.value, f"option '{key}' is given twice", "", "keep one")
        values[key], written[key] = _value(spec, option.value), option
    return values, written


def _first_option(spec: SpecText, piece: Piece, step: StepText, stage: Any) -> str:
    names: list[str] = [field.alias or name for name, field in stage.Options.model_fields.items()]
    if piece.text in names:
        raise spec.error(piece, f"option '{piece.text}' has no value", "", f"write {piece.text}=VALUE")
    if not names:
        raise D2FError(Problem("D2F114", f"{KIND} '{step.name.text}': it takes no options", spec.place(piece)))
    return names[0]


def _value(spec: SpecText, piece: Piece) -> Any:
    try:
        return read_value(piece.text)
    except ValueError as error:
        raise spec.error(piece, f"'{piece.text}' is not a value", "", str(error)) from error


def _located(
    spec: SpecText, step: StepText, stage: Any, written: Mapping[str, OptionText], finding: Finding
) -> Problem:
    """Return a finding as a problem at the key or the value that it is about, else at the step's name."""
    option = written.get(str(finding.path[0])) if finding.path else None
    piece = step.name
    if option is not None:
        piece = option.key if option.key and finding.sort == "unknown" else option.value
    return replace(option_problem(KIND, stage.name, finding), place=spec.place(piece))

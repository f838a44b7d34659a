"""One step of a view from a preprocessor's name and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from d2f.engine.plan import Step
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog
from d2f.plugins.identity import canonical, stage_facts


def make_step(catalog: Catalog, name: str, options: Mapping[str, Any]) -> Step:
    """Build a preprocessor and the key that it is known by.

    The key is the same wherever the step was written (a chain file, a SPEC, a program), so that the step draws the
    same seeds and equal views are computed once.

    Parameters
    ----------
    catalog : Catalog
    name : str
        Of the preprocessor.
    options : mapping
        Plain data.

    Raises
    ------
    D2FError
        What `d2f.plugins.build.build` raises.
    """
    checked = read_options("preprocessor", catalog.find("preprocessor", name), options)
    stage = build(catalog, "preprocessor", name, options)
    plain = checked.model_dump(mode="json", by_alias=True)
    return Step(canonical(stage_facts(name, plain, getattr(stage, "weights", ()))), stage)

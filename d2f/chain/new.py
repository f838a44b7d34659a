"""`d2f chain new`: a chain file of named stages, to be fitted on a user's own images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from d2f.api.errors import D2FError, did_you_mean
from d2f.chain.check import check_text
from d2f.chain.write import fitted_text
from d2f.chain.yaml import text_of
from d2f.engine.plan import Plan
from d2f.engine.spec import Piece, SpecText, parse_spec, read_value
from d2f.plugins.catalog import Catalog
from d2f.weights.sources import located

KINDS = ("detector", "precondition", "evidence")
"""What `--with` takes, and under which key it goes: `detectors`, `require`, `evidence`."""

REQUIRED = ("colour", "photographic", "degraded", "framed", "size", "thumbnail")
"""Preconditions that every shipped chain has."""

LEAST, A_MEMBER = 100, 30
"""Images of each label that a fit needs: a hundred, and thirty for each member, which has two calibration parameters
and a weight (ten images a parameter: Peduzzi and others 1996, doi:10.1016/S0895-4356(96)00236-3)."""

HEAD = """# Made by d2f chain new, and not fitted: its scores have no scale and no direction yet. Fit it on images of
# your own, at least {images} photographs and {images} generated pictures, each from ten collections or more:
#     d2f chain fit {file} --data DIR -o {name}-fitted.yaml
d2f: 1
name: {name}
"""


@dataclass(frozen=True)
class NewChain:
    """A new chain file, the plan that it makes, and how many images of each label fitting it needs."""

    name: str
    text: str
    plan: Plan
    images: int

    def lines(self, path: str) -> Iterator[str]:
        """Yield what a user does next: weights to fetch, images to gather, the command that fits."""
        records = [record for _, stage in self.plan.stages for record in getattr(stage, "weights", ())]
        absent = dict.fromkeys(record.name for record in records if located(record) is None)
        if absent:
            yield f"weights that are not here: d2f weights pull {' '.join(absent)}"
        yield f"not fitted: gather at least {self.images} photographs and {self.images} generated pictures,"
        yield f"of ten collections or more each, then: d2f chain fit {path} --data DIR -o {self.name}-fitted.yaml"


def new_chain(
    stages: Sequence[str], views: Mapping[str, str], name: str, path: str, catalog: Catalog, bare: bool = False
) -> NewChain:
    """Return a chain file of stages, each ``NAME`` or ``NAME:key=value,…`` as in a SPEC.

    `views`: SPECs of views that every detector looks at besides the plain one. `bare`: without the preconditions and
    the evidence reader that every shipped chain has. D2FError: D2F110, and what `d2f chain check` finds.
    """
    uses: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for text in stages:
        kind, use = _use(text, catalog)
        uses[kind].append(use)
    if not uses["detector"]:
        raise D2FError.of("D2F001", "no detector is named", "such as --with clip-probe")
    if not bare:
        known = {use["use"] for use in uses["precondition"]}
        uses["precondition"] += [{"use": one} for one in REQUIRED if one not in known]
        uses["evidence"] = uses["evidence"] or [{"use": "provenance"}]
    for use, unique in zip(uses["detector"], _ids(use["use"] for use in uses["detector"]), strict=True):
        use |= {"id": unique, "views": ["plain", *views]}
    members = len(uses["detector"]) * (1 + len(views))
    images = max(LEAST, A_MEMBER * members)
    keys = {
        "require": uses["precondition"],
        "evidence": uses["evidence"],
        "views": {view: _view_steps(spec, catalog) for view, spec in views.items()},
        "detectors": [{"id": use.pop("id"), **use} for use in uses["detector"]],
    }
    head = HEAD.format(images=images, name=name, file=path)
    text = fitted_text(head, {key: value for key, value in keys.items() if value})
    text = fitted_text(text, {"combine": {"use": "logistic"}})
    checked = check_text(text_of(path, text), catalog, refit=True, allow_missing=True)
    if checked.plan is None:
        raise D2FError(checked.problems, checked.exit)
    return NewChain(name, text, checked.plan, images)


def _use(text: str, catalog: Catalog) -> tuple[str, dict[str, Any]]:
    """Return the kind of a stage and its entry."""
    spec = SpecText(text, "--with")
    step = spec.step(Piece(0, text))
    name = step.name.text
    kind = next((kind for kind in KINDS if name in catalog.names(kind)), None)
    if kind is None:
        known = [one for kind in KINDS for one in catalog.names(kind)]
        notes = did_you_mean(name, known) or ("to see all: d2f plugin list",)
        raise D2FError.of("D2F110", f"no detector, precondition or evidence reader is called '{name}'", *notes)
    options: dict[str, Any] = {}
    fields = list(catalog.find(kind, name).Options.model_fields)
    for option in step.options:
        key = fields[0] if option.key is None and fields else option.key.text if option.key else ""
        try:
            options[key] = read_value(option.value.text)
        except ValueError as error:
            raise spec.error(option.value, str(error)) from error
    return kind, {"use": name, **({"with": options} if options else {})}


def _view_steps(spec: str, catalog: Catalog) -> list[dict[str, Any]]:
    facts = [json.loads(step.key) for step in parse_spec(spec, catalog, "--view")]
    return [{"use": each["use"], "with": each["with"]} for each in facts]


def _ids(names: Iterable[str]) -> list[str]:
    """Return names that occur once: a second `onnx` is `onnx-2`."""
    found: list[str] = []
    for name in names:
        count = sum(one == name or (one.startswith(f"{name}-") and one[len(name) + 1 :].isdigit()) for one in found)
        found.append(f"{name}-{count + 1}" if count else name)
    return found

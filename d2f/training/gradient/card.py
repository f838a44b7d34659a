"""The model card: what was trained on what, and what it was measured to do."""

from __future__ import annotations

import json
from typing import Any

from d2f.training.gradient.measuring import Measured
from d2f.training.gradient.recipe import NetworkRecipe


def card(
    recipe: NetworkRecipe, facts: dict[str, str], figures: dict[str, Measured], epochs: list[dict[str, Any]]
) -> str:
    """Return the card in Markdown."""
    clean = figures["clean"]
    waited = sum(epoch["waited"] for epoch in epochs) / max(sum(epoch["seconds"] for epoch in epochs), 1e-9)
    blocks = [
        f"# {recipe.train}",
        f"Trained by `d2f train` {facts['d2f']} on {facts['images']} images of {facts['collections']} collections, "
        f"best in epoch {facts['epoch']} of {len(epochs)}. The device waited for images {waited:.0%} of the time.",
        _table(("fact", "value"), [(name, f"`{facts[name]}`") for name in ("options", "recipe", "data", "seed")]),
        "## Measured",
        f"On {clean.images} images that were not trained on{_apart(recipe)}; they chose the best epoch, so that new "
        "images may fare worse. An image counts as generated where its score is above 0.",
        figures_table(figures),
        "## By generator",
        _table(("images of", "called right"), [(name, f"{share:.3f}") for name, share in clean.generators.items()]),
        "## Confusion",
        _table(
            ("", "called real", "called generated"),
            [(name, *map(str, row)) for name, row in zip(("real", "generated"), clean.confusion, strict=True)],
        ),
        "## Recipe",
        f"```json\n{json.dumps(recipe.model_dump(mode='json', by_alias=True), indent=2)}\n```",
        "A score is no probability: `d2f chain fit` makes one of it, on images that were not trained on.",
    ]
    return "\n\n".join(blocks) + "\n"


def _apart(recipe: NetworkRecipe) -> str:
    return "" if isinstance(recipe.data.validation, str) else " and share no collection with those that were"


def figures_table(figures: dict[str, Measured]) -> str:
    """Return figures by name as a table in Markdown."""
    head = ("under", "images", "loss", "accuracy", "balanced accuracy", "F1", "AUC")
    rows = []
    for name, one in figures.items():
        numbers = (one.loss, one.accuracy, one.balanced_accuracy, one.f1, one.auc)
        rows.append((name, str(one.images), *(f"{number:.3f}" for number in numbers)))
    return _table(head, rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

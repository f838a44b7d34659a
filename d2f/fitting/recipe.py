"""What a fit is to find: which calibrator for which cell, which combiner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from d2f.api.stages import Calibrator, Combiner
from d2f.chain.source import as_text
from d2f.chain.yaml_reader import parse
from d2f.plugins.build import read_options

if TYPE_CHECKING:
    from pydantic import BaseModel

    from d2f.chain.chain import Chain

CALIBRATOR = "platt"
"""Of a cell, or of the chain's own ratio, for which the file names none."""


@dataclass(frozen=True)
class Recipe:
    """The stages that are to be fitted.

    Parameters
    ----------
    cells : tuple of str
        In the chain's order.
    calibrators : mapping of str to class
        Calibrator of each cell.
    combiner : class
        With `combiner_options` to start from.
    chain_calibrator : class
        Of the combined ratio.
    need : int
        Fewer cells with a probability than this make no verdict.
    """

    cells: tuple[str, ...]
    calibrators: Mapping[str, type[Calibrator]]
    combiner: type[Combiner]
    combiner_options: BaseModel
    chain_calibrator: type[Calibrator]
    need: int = 1


def read_recipe(chain: Chain, calibrator: str = CALIBRATOR) -> Recipe:
    """Read off a chain what its author chose.

    A calibrator that the file names, for a cell under ``calibrate`` or for the chain under ``combine.calibrate``,
    is fitted anew; `calibrator` serves where it names none.

    Raises
    ------
    D2FError
        D2F112, D2F113 for an unknown stage; D2F114 for a wrong option of the combiner.
    """
    named = _named(chain.text)
    combine = chain.file.combine
    above = combine.calibrate.use if combine.calibrate else calibrator
    combiner = chain.catalog.find("combiner", combine.use)
    cells = chain.plan.cell_names
    return Recipe(
        cells,
        {cell: chain.catalog.find("calibrator", named.get(cell, calibrator)) for cell in cells},
        combiner,
        read_options("combiner", combiner, combine.with_),
        chain.catalog.find("calibrator", above),
        combine.need,
    )


def _named(text: str) -> dict[str, str]:
    """Calibrators by cell, as the file names them; a chain loaded to be refitted no longer holds them."""
    source, _ = parse(as_text("chain", text))
    calibrate: Any = source.root.data.get("calibrate") if source else None
    listed = calibrate.items() if isinstance(calibrate, Mapping) else ()
    return {cell: use["use"] for cell, use in listed if isinstance(use, Mapping) and isinstance(use.get("use"), str)}

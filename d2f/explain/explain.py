"""Why a verdict: one image judged, its heat maps measured, and all that a report shows of it.

`explain_image` judges and measures; an `Explanation` holds the findings and writes them: as text, as a page (`page.py`)
and as a record (`record.py`), which `d2f report verify` recomputes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from html import escape
from importlib.resources import files
from typing import Any, Literal, TypeAlias

from d2f.api.inputs import Bounds, ImageFile, Pixels
from d2f.api.rows import Row
from d2f.chain.chain import Chain
from d2f.chain.words import legend, reasons, sentence, stage_titles
from d2f.engine.views import apply_steps
from d2f.explain.map import KINDS, HeatMap, MapKind, masked_shares, measure_map, picture_mask
from d2f.images.memory import ImageInput, InMemory, image_source, load

MapChoice: TypeAlias = Literal["auto", "none", "tiles", "occlusion", "both"]
MAPS: Mapping[MapChoice, tuple[MapKind, ...]] = {
    "none": (),
    "tiles": ("tiles",),
    "occlusion": ("occlusion",),
    "both": KINDS,
}
Tick: TypeAlias = Callable[[str, int, int], object]
"""Called with the map, how many tiles are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Splice:
    """How often a map of a chain with these weights finds a generated patch in a photograph; chance is 0.5."""

    key: str
    chain: str
    kind: MapKind
    share: float
    low: float
    high: float
    images: int
    control: float | None
    date: str

    @property
    def helps(self) -> bool:
        """Whether its whole 95 % interval lies above chance, and above what it finds of pasted photographs."""
        return self.low > max(0.5, self.control or 0.0)


@cache
def splices() -> tuple[Splice, ...]:
    """Return what was measured of the shipped chains by ``d2f bench --splice``."""
    return tuple(Splice(**one) for one in json.loads(files("d2f.explain").joinpath("splice.json").read_text("utf-8")))


def splice_key(chain: Chain) -> str:
    """Return what a measured map holds for: the chain's members and the weights of its detectors."""
    weights = [record.sha256 for one in chain.plan.detectors for record in getattr(one.stage, "weights", ())]
    return hashlib.sha256(json.dumps([chain.plan.member_names, weights]).encode()).hexdigest()[:16]


def splice_of(chain: Chain, kind: MapKind) -> Splice | None:
    """Return what was measured of a chain's map; None where nothing was."""
    key = splice_key(chain)
    return next((one for one in splices() if (one.key, one.kind) == (key, kind)), None)


@dataclass(frozen=True, eq=False)
class Explanation:
    """All that a report shows of one image.

    Parameters
    ----------
    chain : Chain
    row : Row
        The result.
    image : ImageFile or None
        The picture; None where it could not be read.
    maps : tuple of HeatMap
        Those that were measured.
    full : bool
        Whether location, serial numbers, local paths and raw fields are shown.
    """

    chain: Chain
    row: Row
    image: ImageFile | None
    maps: tuple[HeatMap, ...] = ()
    full: bool = False

    @property
    def name(self) -> str:
        """What the image is called in reports: its file's name, or with `full` its path."""
        return self.row.path if self.full else os.path.basename(self.row.path) or self.row.path

    def views(self) -> dict[str, Pixels]:
        """Return the picture in each view that some detector looks at, in the chain's order."""
        if self.image is None:
            return {}
        names = dict.fromkeys(view for _, view in self.chain.plan.members)
        return {name: apply_steps(self.image, self.chain.plan.views.get(name, ())) for name in names}

    @cached_property
    def masked(self) -> dict[str, float]:
        """Share of the picture under each mask of its maps, in [0, 1]; empty where it could not be read."""
        if self.maps:
            return self.maps[0].masked
        return {} if self.image is None else masked_shares(picture_mask(self.image))

    def record(self) -> dict[str, Any]:
        """Return the report as plain data, by the published schema."""
        from d2f.explain.record import report_of

        return report_of(self.chain, [self], self.full)

    def html(self) -> str:
        """Return the report as a page that is complete in itself."""
        from d2f.explain.page import report_page

        return report_page([self])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to `path`, and beside it the record, with the ending ``.json``."""
        save([self], path)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the page in a frame of its own, so that styles stay apart."""
        frame = "width:100%;height:70vh;border:1px solid #8884"
        return f'<iframe srcdoc="{escape(self.html())}" style="{frame}" title="report"></iframe>'

    def lines(self) -> list[str]:
        """Return the verdict and why, without what holds for every image of the chain."""
        why = (f"  {line}" for line in reasons(self.row, stage_titles(self.chain)))
        return [f"{self.name}: {sentence(self.row)}", *why]

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *legend(self.chain)])

    __repr__ = __str__


def explain_image(
    chain: Chain,
    image: ImageInput | InMemory,
    *,
    maps: MapChoice = "auto",
    full: bool = False,
    bounds: Bounds | None = None,
    tick: Tick | None = None,
) -> Explanation:
    """Judge one image and measure its heat maps.

    Parameters
    ----------
    chain : Chain
    image : path, bytes, file object, PIL image or array
        See `Chain.judge`.
    maps : {'auto', 'none', 'tiles', 'occlusion', 'both'}
        Which maps to measure; `auto`: those that were measured to beat chance for this chain.
    full : bool
        Whether the report shows location, serial numbers, local paths and the raw fields of the file.
    bounds : Bounds, optional
        Limits on the bytes and pixels of a file.
    tick : callable, optional
        Called with the map, how many of its tiles are done, and how many there are.

    Returns
    -------
    Explanation
    """
    source = image if isinstance(image, InMemory) else image_source(image)
    loaded = load(source, bounds)
    row = chain.judge_loaded(loaded, source)
    if not isinstance(loaded, ImageFile):
        return Explanation(chain, row, None, (), full)
    kinds = MAPS[maps] if maps != "auto" else [kind for kind in KINDS if (of := splice_of(chain, kind)) and of.helps]
    if row.probability is None:  # no ratio to be explained
        kinds = ()
    found = [measure_map(chain.plan, loaded, kind, tick and partial(tick, kind)) for kind in kinds]
    return Explanation(chain, row, loaded, tuple(one for one in found if one is not None), full)


def save(explanations: Sequence[Explanation], path: str | os.PathLike[str]) -> None:
    """Write one page of explanations, and beside it their record."""
    from d2f.explain.page import report_page
    from d2f.explain.record import dumped, report_of
    from d2f.files import write_whole

    write_whole(path, report_page(explanations))
    first = explanations[0]
    write_whole(record_path(path), dumped(report_of(first.chain, explanations, first.full)))


def record_path(path: str | os.PathLike[str]) -> str:
    """Return where the record of a page is written.

    >>> record_path("a/report.html")
    'a/report.json'
    """
    return f"{os.path.splitext(path)[0]}.json"

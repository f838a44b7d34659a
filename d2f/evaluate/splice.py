"""`d2f bench --splice`: does a chain's heat map find a generated patch in a photograph?

Each photograph gets a patch of a generated picture, feathered, of a drawn size at a drawn place, and then one JPEG. The
map is right where its mean over the patch exceeds that elsewhere; by chance that happens in half of the pictures. As a
control the same is done with a patch of another photograph: what exceeds chance there finds pasting, not generation.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, ImageFile, Pixels, ProtocolName
from d2f.chain.chain import Chain
from d2f.data.dataset import Dataset, Labelled
from d2f.data.groups import components
from d2f.data.protocol import Standardise, for_judging
from d2f.explain.explain import splice_key
from d2f.explain.map import KINDS, HeatMap, MapKind, cell_edges, measure_map
from d2f.files import write_whole
from d2f.images.read import load_image
from d2f.metrics.intervals import Index, cluster_bootstrap
from d2f.report.tables import Table, number

PatchLabel: TypeAlias = Literal["generated", "photograph"]
PATCHES: tuple[PatchLabel, ...] = ("generated", "photograph")

SIZES = (0.25, 0.35, 0.5)
"""Sides of the patch over the picture's shorter side, drawn evenly."""

FEATHER = 0.1
"""Width of the patch's soft edge over its side."""

QUALITY = 90
"""Of the JPEG that the spliced picture is saved as."""


@dataclass(frozen=True, slots=True)
class SpliceOutcome:
    """By how much a map's mean inside the patch exceeds that outside, in nats; None: not measurable."""

    path: str
    patch: PatchLabel
    kind: MapKind
    size: float
    excess: float | None


@dataclass(frozen=True, slots=True)
class SpliceFigure:
    """The share of pictures in which a map finds the patch, with a 95 % interval over collections."""

    chain: str
    digest: str
    key: str
    kind: MapKind
    patch: PatchLabel
    size: float | None
    images: int
    not_measurable: int
    share: float | None
    low: float | None
    high: float | None


def splice(photograph: Pixels, donor: Pixels, random: np.random.Generator) -> tuple[Pixels, Floats, float]:
    """Paste a square of a donor into a photograph.

    Returns the picture, how much of each pixel is the donor's, shape (height, width), in [0, 1], and the patch's side
    over the picture's shorter side.
    """
    height, width = photograph.shape[:2]
    size = float(random.choice(SIZES))
    side = min(round(size * min(height, width)), *donor.shape[:2])
    top, left = (int(random.integers(0, length - side, endpoint=True)) for length in (height, width))
    above, beside = (int(random.integers(0, length - side, endpoint=True)) for length in donor.shape[:2])
    from_edge = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / max(1.0, FEATHER * side)
    ramp = np.clip(from_edge, 0.0, 1.0)
    share = np.zeros((height, width))
    share[top : top + side, left : left + side] = np.outer(ramp, ramp)
    pasted = np.zeros(photograph.shape)
    pasted[top : top + side, left : left + side] = donor[above : above + side, beside : beside + side]
    mixed = photograph * (1 - share[..., None]) + pasted * share[..., None]
    saved = io.BytesIO()
    Image.fromarray(np.rint(mixed).astype(np.uint8)).save(saved, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(saved).convert("RGB")), share, size


def excess(found: HeatMap, share: Floats) -> float | None:
    """Return the map's mean over cells inside the patch minus that outside, in nats; None where either has no cell."""
    rows, columns = (cell_edges(length, found.side) for length in share.shape)
    within = np.array(
        [[share[top:bottom, left:right].mean() for left, right in pairwise(columns)] for top, bottom in pairwise(rows)]
    )
    inside, outside = found.reliable & (within >= 0.5), found.reliable & (within < 0.05)
    if not (inside.any() and outside.any()):
        return None
    return float(found.values[inside].mean() - found.values[outside].mean())


def run_splice(
    chain: Chain,
    images: Dataset,
    protocol: ProtocolName,
    seed: int,
    limit: int | None,
    kept: str | None = None,
    tick: Callable[[], object] = lambda: None,
) -> list[SpliceOutcome]:
    """Measure both maps of spliced photographs; `kept`: a file of outcomes that a stopped run continues."""
    photographs = [image for image in images if image.label == 0]
    generated = [image for image in images if image.label == 1]
    donors: Mapping[PatchLabel, Sequence[Labelled]] = {"generated": generated, "photograph": photographs}
    if len(photographs) < 2 or not generated:
        raise D2FError.of("D2F601", "--splice expects generated images, and two photographs or more")
    chosen = [photographs[index].path for index in np.random.default_rng(seed).permutation(len(photographs))[:limit]]
    made = [chain.digest, protocol, seed]
    done = [one for one in _kept_outcomes(kept, made) if one.path in set(chosen)]
    seen = {one.path for one in done}
    standardise = for_judging(protocol)
    for path in chosen:
        if path not in seen:
            image = load_image(path)
            found = list(_outcomes(chain, image, donors, standardise, seed)) if isinstance(image, ImageFile) else []
            done += found
            if kept is not None:
                with open(kept, "a", encoding="utf-8") as file:
                    # The line break goes first: the last line of a run that was killed may lack it.
                    file.writelines("\n" + json.dumps({"made": made, **asdict(one)}) for one in found)
        tick()
    return done


def _outcomes(
    chain: Chain,
    image: ImageFile,
    donors: Mapping[PatchLabel, Sequence[Labelled]],
    standardise: Standardise,
    seed: int,
) -> Iterator[SpliceOutcome]:
    base = standardise(image)
    for place, patch in enumerate(PATCHES):
        random = np.random.default_rng((seed, image.seed, place))
        others = [one for one in donors[patch] if one.path != image.path]
        donor = load_image(others[int(random.integers(len(others)))].path)
        if not isinstance(donor, ImageFile):
            continue
        pixels, share, size = splice(base.pixels, standardise(donor).pixels, random)
        spliced = replace(base, pixels=pixels)
        for kind in KINDS:
            found = measure_map(chain.plan, spliced, kind)
            difference = None if found is None else excess(found, share)
            yield SpliceOutcome(image.path, patch, kind, size, difference)


def _kept_outcomes(path: str | None, made: list[Any]) -> Iterator[SpliceOutcome]:
    """Yield what a file holds of the same chain, protocol and seed."""
    if path is None:
        return
    with suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        for line in file:
            with suppress(ValueError):  # the last line of a run that was killed
                held = json.loads(line)
                if held.pop("made", None) == made:
                    yield SpliceOutcome(**held)


def splice_figures(
    chain: Chain, outcomes: Sequence[SpliceOutcome], images: Dataset, draws: int, seed: int
) -> list[SpliceFigure]:
    """Return the figures of a chain: each map and patch, over all sizes and for each size."""
    numbered = dict(zip((image.path for image in images), components(images), strict=True))
    named = chain.name, chain.digest, splice_key(chain)
    found = []
    for kind, patch, size in product(KINDS, PATCHES, (None, *SIZES)):
        rows = [one for one in outcomes if (one.kind, one.patch) == (kind, patch) and size in (None, one.size)]
        of = np.array([numbered[one.path] for one in rows if one.excess is not None], dtype=np.int64)
        # Right, wrong, or a half where there is no difference.
        right = (1 + np.sign([one.excess for one in rows if one.excess is not None])) / 2
        bounds = _share(right, of, draws, seed)
        missing = len(rows) - len(right)
        found.append(SpliceFigure(*named, kind, patch, size, len(right), missing, *bounds))
    return found


def _share(right: Floats, of: Index, draws: int, seed: int) -> Iterator[float | None]:
    """Yield the share of right maps and the ends of its interval."""
    if not len(right):
        yield from (None, None, None)
        return
    labels = np.zeros(len(right), dtype=np.int8)
    for value in cluster_bootstrap(lambda at: float(right[at].mean()), of, labels, draws, seed=seed):
        yield None if np.isnan(value) else round(float(value), 4)


def splice_table(found: Sequence[SpliceFigure]) -> Table:
    """Return the figures as a table."""
    rows = tuple(
        (
            one.chain,
            one.kind,
            one.patch,
            "all" if one.size is None else f"{one.size:g}",
            str(one.images),
            str(one.not_measurable),
            number(one.share),
            "" if one.low is None else f"[{number(one.low)}, {number(one.high)}]",
        )
        for one in found
    )
    headings = ("chain", "map", "patch", "size", "images", "no map", "found", "95 %")
    return Table("heat maps on spliced photographs: share in which the patch is higher (chance 0.5)", headings, rows)


def write_splice(folder: str, found: Sequence[SpliceFigure], settings: dict[str, Any]) -> Path:
    """Write splice.json."""
    place = Path(folder) / "splice.json"
    write_whole(place, json.dumps({**settings, "figures": [asdict(one) for one in found]}, indent=1) + "\n")
    return place

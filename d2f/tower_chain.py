"""`d2f chain build`: from an image tower and labelled images to a chain, fitted and benched. Its story in one function.

Every part is a command of its own (`d2f weights pull`, `data fetch`, `train`, `chain fit`, `bench`), called here in
their order over one cache, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from d2f.api.errors import D2FError
from d2f.cache import Cache, caching
from d2f.chain.chain import Chain, load_chain
from d2f.chain.write import fitted_text
from d2f.chain.yaml import parse, text_of
from d2f.data.dataset import Dataset, limited, load_dataset, write_manifest
from d2f.data.fetch import fetch_images, read_sources
from d2f.data.groups import components, split_parts
from d2f.engine.findings import load_stages
from d2f.evaluate.attacks import attack_set
from d2f.evaluate.bench import BenchFolder, BenchSettings, result, run_chains
from d2f.evaluate.bench_report import comparison_tables, overview
from d2f.evaluate.fit import FitRequest, chain_name, fit_chain
from d2f.files import require_new_file, write_whole
from d2f.images.read import read_image
from d2f.plugins.build import build
from d2f.report.tables import markdown_table
from d2f.train.read import read_recipe
from d2f.train.recipe import EstimatorRecipe
from d2f.train.report import figures_table
from d2f.train.run import SilentWatcher, TrainedModel, TrainRequest, train_model
from d2f.weights.fetch import Watcher as FetchWatcher
from d2f.weights.fetch import pull_weights
from d2f.weights.sources import pinned

RECIPE = "tower.yaml"
"""What the plugin of a detector with the options `tower` and `weights` ships: how its head is fitted to any tower."""

ATTACKS = ("jpeg:quality=60", "wiener:window=7", "resize:factor=0.5,back=true")
"""Attacked copies that the chain is fitted to and benched under; each costs a pass of the tower an image."""


class BuildWatcher(FetchWatcher, Protocol):
    """Is called as the tower is fetched, and as the work goes on."""

    def say(self, line: str) -> None:
        """Show a sentence."""

    def begin(self, what: str, total: int) -> None:
        """Called as a part of the work begins."""

    def tick(self) -> None:
        """Called after each image of it."""


@dataclass(frozen=True)
class BuildRequest:
    """What is asked for; `held_out` is a set to bench on, by default a fifth of the images, whole collections."""

    base: str
    tower: str
    data: str
    output: Path
    sources: str | None = None
    mirror: str | None = None
    held_out: str | None = None
    attacks: tuple[str, ...] = ATTACKS
    precision: str = "float32"
    limit: int | None = None
    seed: int = 0
    draws: int = 1000
    workers: int | None = None
    overwrite: bool = False
    command: str = ""
    today: date = field(default_factory=date.today)

    @property
    def head(self) -> Path:
        """The weights of the head."""
        return self.output.with_suffix(".safetensors")

    @property
    def card(self) -> Path:
        """What was made of what, and how good it is."""
        return self.output.with_suffix(".md")

    @property
    def folder(self) -> Path:
        """What is made on the way: manifests, recipe, cache, bench."""
        return self.output.with_suffix(".build")


@dataclass(frozen=True)
class Sets:
    """The images that are fitted to, and those that the chain is benched on."""

    fitted: Dataset
    held: Dataset


def build_chain(request: BuildRequest, watcher: BuildWatcher) -> dict[str, Any]:
    """Pull, fetch, train, fit and bench; write chain, head, card and table; return the bench's result.

    D2FError as of its parts; D2F004 where an output exists, D2F604 where the chain has no place for a tower.
    """
    for path in (request.output, request.card):
        require_new_file(path, request.overwrite)
    base = load_chain(request.base)
    place = probe_place(base)
    recipe = _recipe(request, base, place)
    seconds: dict[str, float] = {}
    with _timed(seconds, "tower"):
        _pull(request.tower, base, watcher)
    with _timed(seconds, "images"):
        sets = _image_sets(request, watcher)
    watcher.say(_estimate(recipe, base, sets, request))  # before a cache is open, which would hold these tokens already
    with caching(request.folder / "cache") as cache:
        with _timed(seconds, "head"):
            trained = _trained(recipe, base, request, watcher)
        with _timed(seconds, "chain"):
            chain = _fitted(base, place, sets.fitted, request, cache, watcher)
        with _timed(seconds, "bench"):
            found = _benched(chain, base, sets.held, request, cache, watcher)
    card = "\n".join(_card(request, chain, trained, recipe, sets, found, seconds)) + "\n"
    write_whole(request.card, card)
    write_whole(request.output, chain.text)
    return found


def probe_place(chain: Chain) -> int:
    """Return which detector of a chain has a head over a tower: one with the options `tower` and `weights`."""
    for place, detector in enumerate(chain.plan.detectors):
        options: Any = getattr(detector.stage, "Options", None)
        if options is not None and {"tower", "weights"} <= options.model_fields.keys() and _shipped(detector.stage):
            return place
    raise D2FError.of("D2F604", f"no detector of chain '{chain.name}' has a head over a tower", "begin with deep")


def _shipped(stage: object) -> str:
    """Return the recipe for any tower that a stage's plugin ships, or nothing."""
    file = files(stage.__module__.partition(".")[0]).joinpath(RECIPE)
    return file.read_text("utf-8") if file.is_file() else ""


def _recipe(request: BuildRequest, base: Chain, place: int) -> EstimatorRecipe:
    """Write the recipe with the tower in it, and read it back, strictly."""
    text = _shipped(base.plan.detectors[place].stage)
    source, _ = parse(text_of(RECIPE, text))
    assert source is not None
    options = {**source.data["with"], "tower": request.tower, "precision": request.precision}
    path = request.folder / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, fitted_text(text, {"with": options, "seed": request.seed}))
    recipe = read_recipe(path, base.catalog)
    assert isinstance(recipe, EstimatorRecipe)
    return recipe


def _pull(tower: str, base: Chain, watcher: BuildWatcher) -> None:
    """Bring the tower to this machine, unless it is a file of the user's own."""
    record = next((one for one in base.catalog.weights if one.name == tower), None)
    if record is None:
        return
    pulled = pull_weights(record, watcher)
    how = "fetched" if pulled.fetched else "here already"
    trust = "; its digest was not known, and is pinned by this pull" if pulled.first else ""
    watcher.say(f"tower {tower}: {how}, licence {record.licence}, sha256 {pulled.record.sha256}{trust}")


def _image_sets(request: BuildRequest, watcher: BuildWatcher) -> Sets:
    """Bring the images where a source list is given, and hold whole collections out."""
    if request.sources is not None:
        listed = read_sources(request.sources)
        watcher.begin("fetching", len(listed))
        mirror = Path(request.mirror) if request.mirror else None
        fetched = fetch_images(listed, Path(request.data), mirror, tick=watcher.tick)
        watcher.say(f"{len(fetched.images)} of {len(listed)} images are in {request.data}; {fetched.fresh} are new")
    images = load_dataset(request.data)
    if request.limit:
        images = limited(images, request.limit, request.seed)
    if request.held_out is not None:
        sets = Sets(images, load_dataset(request.held_out))
    else:
        parts = split_parts(images, components(images), (0.8, 0.2), request.seed)
        sets = Sets(images.select(parts == 0), images.select(parts == 1))
    write_manifest(request.folder / "fitted.csv", sets.fitted)
    write_manifest(request.folder / "held-out.csv", sets.held)
    watcher.say(f"fitted to: {sets.fitted.describe()}")
    watcher.say(f"held out:  {sets.held.describe()}")
    return sets


def _estimate(recipe: EstimatorRecipe, base: Chain, sets: Sets, request: BuildRequest) -> str:
    """Try the tower on an image, and say how long all of them will take."""
    copies = recipe.copies.fitting + recipe.copies.judging + 1
    passes = len(sets.fitted) * (copies + 1 + len(request.attacks)) + len(sets.held) * (1 + len(request.attacks))
    trainable = build(base.catalog, "trainable", recipe.train, recipe.with_)
    views = [read_image(image.path).pixels for image in sets.fitted[:2]]
    trainable.features(views[0])
    begun = time.perf_counter()
    trainable.features(views[-1])
    each = time.perf_counter() - begun
    return f"about {passes} passes of the tower of {each:.2f} s each: {spoken(passes * each)} where none is cached"


def _trained(recipe: EstimatorRecipe, base: Chain, request: BuildRequest, watcher: BuildWatcher) -> TrainedModel:
    class Training(SilentWatcher):
        begun = False

        def say(self, line: str) -> None:
            watcher.say(line)

        def images(self, what: str, done: int, total: int) -> None:
            if not self.begun:
                watcher.begin(f"head: {what}", total)
            self.begun = True
            watcher.tick()

    told = TrainRequest(
        request.head, str(request.folder / "fitted.csv"), request.workers or 1, cache=request.folder / "cache"
    )
    return train_model(recipe, base.catalog, told, Training())


def _fitted(
    base: Chain, place: int, images: Dataset, request: BuildRequest, cache: Cache | None, watcher: BuildWatcher
) -> Chain:
    """Put the head into the chain and fit it, each image scored by the head that did not see its collection."""
    source, _ = parse(text_of(base.name, base.text))
    assert source is not None
    detectors = [dict(each) for each in source.data["detectors"]]
    own = {
        "tower": request.tower,
        "weights": f"./{request.head}" if request.head.parent == Path() else str(request.head),
    }
    own |= {} if request.precision == "float32" else {"precision": request.precision}
    detectors[place]["with"] = {**detectors[place].get("with", {}), **own}
    name = chain_name(request.output.stem, f"{base.name}-own")
    about = f"{base.name} with the tower {request.tower.partition('=')[0]}, made by d2f chain build."
    path = request.folder / "chain.yaml"
    write_whole(path, fitted_text(base.text, {"name": name, "description": about, "detectors": detectors}))
    folds = request.output.with_suffix(".run") / "folds"
    asked = FitRequest(
        attacks=request.attacks,
        seed=request.seed,
        oof_weights={base.plan.detectors[place].id: str(folds)},
        name=name,
        workers=request.workers,
        cache=cache,
        today=request.today,
        tick=watcher.tick,
    )
    watcher.begin("chain: scoring", len(images))
    write_whole(path, fit_chain(load_chain(path, refit=True), images, asked).text)
    return load_chain(path)


def _benched(
    chain: Chain, base: Chain, held: Dataset, request: BuildRequest, cache: Cache | None, watcher: BuildWatcher
) -> dict[str, Any]:
    chains, attacks = [chain], attack_set("none", request.attacks, chain.catalog)
    if not base.file.calibrate:
        watcher.say(f"not compared with {request.base}, which is not fitted")
    elif missing := load_stages(replace(base.plan, allow_missing=True)):
        watcher.say(f"not compared with {request.base}: {next(iter(missing.values()))}")
    else:
        chains.append(base)
    watcher.begin("bench", len(held))
    run = run_chains(chains, held, attacks.attacks, cache=cache, workers=request.workers, tick=watcher.tick)
    settings = BenchSettings("whole", attacks, seed=request.seed, draws=request.draws, today=request.today)
    found = result(run, chains, settings)
    folder = BenchFolder(request.folder / "bench", "overwrite")
    try:
        folder.write(found, run, chains)
    finally:
        folder.close()
    return found


def _card(
    request: BuildRequest,
    chain: Chain,
    trained: TrainedModel,
    recipe: EstimatorRecipe,
    sets: Sets,
    found: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> Iterator[str]:
    """Yield the lines of the card: what was made of what, how good it is on which images, how long it took."""
    tower = next((pinned(one) for one in chain.catalog.weights if one.name == request.tower), None)
    yield from (f"# {chain.name}", "", f"{chain.file.description} Made on {request.today}:", "")
    yield from (f"    {request.command}", "")
    if tower is not None:
        yield f"- Tower: `{tower.name}`, {tower.description} Licence: {tower.licence}. {tower.sources[0]}"
        yield f"- Its sha256: `{tower.sha256}`."
    else:
        yield f"- Tower: a file of your own, `{request.tower}`."
    yield f"- Head: `{request.head.name}`, sha256 `{trained.sha256}`, by `{request.folder.name}/recipe.yaml`."
    yield f"- Fitted to: {sets.fitted.describe()}."
    yield f"- Held out: {sets.held.describe()}."
    rule = chain.file.verdict
    yield f"- Chain: digest `{chain.digest}`; real below {rule.real_below:g}, generated above {rule.generated_above:g}."
    yield from ("", "## The head, out of fold", "", *figures_table(trained.figures).splitlines(), "")
    yield from ("## Held-out images", "", *overview(found).markdown(), "")
    for table in comparison_tables(found):
        yield from (f"{table.title}:", "", *table.markdown(), "")
    yield from (f"- {line}" for line in found["cautions"])
    yield from ("", "## Time", "", *markdown_table(("part", "seconds"), [(k, f"{v:.0f}") for k, v in seconds.items()]))


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Enter the wall time of what runs in this context under a name."""
    begun = time.monotonic()
    yield
    seconds[name] = time.monotonic() - begun


def spoken(seconds: float) -> str:
    """Return a length of time in words.

    >>> [spoken(each) for each in (40, 130, 9000)]
    ['40 s', '2 min', '2.5 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

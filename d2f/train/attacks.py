"""The best epoch's figures: clean, under each attack that a recipe names, and on the test images, once."""

from __future__ import annotations

from d2f.data.dataset import Dataset
from d2f.engine.spec import parse_spec
from d2f.plugins.catalog import Catalog
from d2f.train.folder import RunFolder
from d2f.train.loop import Loop
from d2f.train.measuring import Measured
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.tiles import TileCutter, make_tiles
from d2f.train.work import Parts


def measure_all(
    recipe: NetworkRecipe, catalog: Catalog, loop: Loop, divided: Parts, folder: RunFolder, workers: int
) -> dict[str, Measured]:
    """Return figures by name: ``clean``, each attack's SPEC, ``test``; what leaves a label no tile is left out."""
    figures = {"clean": loop.measure(loop.validation)}

    def add(name: str, dataset: Dataset, attack: str = "") -> None:
        loop.watcher.say(f"measures {name}")
        steps = parse_spec(attack, catalog, "measure") if attack else ()
        cutter = TileCutter(recipe, False, steps)
        tiles = make_tiles(dataset, cutter, folder.tile_file("measured"), workers, loop.watcher.images)
        try:
            if set(tiles.labels.tolist()) == {0, 1}:
                figures[name] = loop.measure(tiles)
            else:
                loop.watcher.say(f"{name} is left out: a label has no tile of {cutter.side} pixels")
        finally:
            tiles.cache.close()

    for attack in recipe.measure:
        add(attack, divided.validation, attack)
    if divided.test is not None:
        add("test", divided.test)
    return figures

"""`d2f train` for networks: a recipe and images in; a run folder, a weights file and its figures out."""

from __future__ import annotations

from typing import Any

from d2f.api.errors import D2FError
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.training.gradient.assembly import make_loop, most_at_once, sizes
from d2f.training.gradient.ending import end
from d2f.training.gradient.folder import RunFolder
from d2f.training.gradient.material import cut_parts, facts
from d2f.training.gradient.parts import parts
from d2f.training.gradient.processes import Processes
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.request import Request, TrainedNetwork, Work
from d2f.training.gradient.starting import start
from d2f.training.gradient.watching import Silent, Watcher


def train_network(recipe: NetworkRecipe, catalog: Catalog, request: Request, watcher: Watcher) -> TrainedNetwork:
    """Train the network that a recipe asks for, and leave its weights and a run folder.

    Raises
    ------
    D2FError
        What reading the data raises; D2F004 where an output cannot be written; D2F501 to D2F505 for weights that it
        starts from; D2F603, D2F604, D2F606 for data or a recipe that cannot be trained on; D2F607 where the trainable
        is no network; D2F620 for broken images; D2F621 where a label is missing; D2F622 where the loss is not finite;
        D2F623 for a run that stands in the way; D2F624 where memory does not suffice.
    """
    if request.output.suffix != ".safetensors":
        raise D2FError.of("D2F004", f"weights are written as .safetensors, not as '{request.output.name}'")
    work = _work(recipe, catalog, request, watcher)
    outputs = request.output, request.output.with_suffix(".npz")
    work.folder.claim(recipe, request.resume, outputs, request.overwrite)
    divided = parts(recipe, request.data, request.fold, work.watcher.say)
    # Before the images are decoded, which may take long: what is wrong with the network is told at once.
    most, started = most_at_once(work), start(work)
    with cut_parts(work, divided) as material:
        known = facts(recipe, material.training, divided, started.sha256)
        work.folder.describe(recipe, known | material.measured, request.resume)
        loop = make_loop(work, started, most, material.training, material.validation)
        if not request.resume or loop.position.log == 0:
            loop.log.write("start", **known, **sizes(loop))
        loop.run()
        return end(work, loop, divided, known)


def _work(recipe: NetworkRecipe, catalog: Catalog, request: Request, watcher: Watcher) -> Work:
    processes = Processes.found()
    trainable = _network_trainable(recipe, catalog)
    if processes.count > 1 and processes.rank == 0:
        watcher.say(f"{processes.count} processes train together, each on its share of every update")
    return Work(
        recipe=recipe,
        trainable=trainable,
        catalog=catalog,
        request=request,
        folder=RunFolder(request.output.with_suffix(".run"), processes.rank),
        processes=processes,
        watcher=watcher if processes.rank == 0 else Silent(),
    )


def _network_trainable(recipe: NetworkRecipe, catalog: Catalog) -> Any:
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    if not callable(getattr(trainable, "build", None)):
        raise D2FError.of("D2F607", f"trainable '{recipe.train}' is no network: it has no `build`")
    return trainable

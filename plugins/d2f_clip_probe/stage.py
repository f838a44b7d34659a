"""The detector and the trainable; MLX is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f_towers.records import RECORDS as TOWERS

from d2f import D2FError, Exit, Floats, Input, Labels, Needs, Pixels, Problem, Score, Weights, WholeImage
from d2f.weights import as_record, read_weights, resolve, strict
from d2f_clip_probe.options import DetectorOptions, TrainableOptions, blocks_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2f_clip_probe.tokens import TokenMaker

HEADS = (
    Weights(
        name="clip-probe/default",
        sha256="11aef0f307518c71c9b210138d4c3de2413cbbf59d4b202064e6531be0d4c302",
        licence="MIT",
        sources=("package:d2f_clip_probe/default.safetensors",),
        description="Three small networks on tokens of 4,936 images of 245 collections, clean and laundered.",
    ),
    Weights(
        name="clip-probe/first8",
        sha256="a0719ccb48c49faaa1a215940997a465b7916139c40e783ee971cb271eb68844",
        licence="MIT",
        sources=("package:d2f_clip_probe/first8.safetensors",),
        description="Three small networks on tokens of the tower that ships, of 4,936 images, for the chain robust.",
    ),
)

NEEDS = Needs(side=64, deviation=0.5)
"""Smaller views are mostly invented where they are resized; a head has no use for one colour."""


def tile_scores(arrays: Mapping[str, NDArray[Any]], tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log odds of `generated` of tokens (n, crops, d): (n, crops) of a linear head, else (n, 1)."""
    from d2f_clip_probe import head, hidden

    return hidden.scores(arrays, tokens)[:, None] if "inner" in arrays else head.crop_scores(arrays, tokens)


def _tower(option: str) -> tuple[str, Weights]:
    """Return the tower that an option names, NAME or NAME=PATH: the name of its architecture, and its record.

    Raises
    ------
    D2FError
        D2F501: there is no such tower.
    WeightsMissing
        D2F502: there is no file at the path.
    """
    name, own, path = option.partition("=")
    record = resolve(name, TOWERS)
    return record.name, as_record(Path(path).expanduser()) if own else record


class ClipProbe:
    """Tokens of an image tower, CLIP's by default, into a small head; see the plugin's README."""

    name = "clip-probe"
    summary = "Blocks of an image tower, CLIP's or a newer one, into a small head; one ships, others are fetched."
    title = "content and style"
    looks_at = "What the picture shows and how it is drawn, as a large image model sees it."
    Options = DetectorOptions
    thread_safe = True
    wants: Input = WholeImage()
    needs = NEEDS

    def __init__(self, options: DetectorOptions) -> None:
        self._head = resolve(options.weights, HEADS)
        self._architecture, self._record = _tower(options.tower)
        self.weights = (self._head, self._record)
        self._precision = options.precision
        self.trained_on: NDArray[np.uint64] | None = None
        self._arrays: Mapping[str, NDArray[Any]] = {}
        self._tokens: TokenMaker | None = None

    def load(self) -> None:
        """Read the head and the tower.

        Raises
        ------
        WeightsMissing
            D2F502: the tower was not fetched yet; the error says the command that fetches it.
        D2FError
            D2F503 to D2F505: a file is damaged, or for another model.
        """
        import numpy as np
        from d2f_towers.towers import TOWERS as TABLE

        from d2f_clip_probe.head import NAMES
        from d2f_clip_probe.hidden import shapes
        from d2f_clip_probe.tokens import TokenMaker

        held = read_weights(self._head)
        if held.metadata.get("trainable") != ClipProbeTrainable.name:
            message = f"weights '{self._head.name}' do not say that they are of `{self.name}`"
            note = "a head of clip-probe is a .safetensors file that `d2f train` wrote"
            raise D2FError(Problem("D2F504", message, notes=(note,)), Exit.PLUGIN)
        trained = TrainableOptions.model_validate_json(held.metadata["options"])
        fitted, here = trained.tower.partition("=")[0], self._architecture
        if fitted != here:
            message = f"weights '{self._head.name}' were fitted to tokens of the tower {fitted}, not of {here}"
            note = f"set the detector's option tower to {trained.tower}"
            raise D2FError(Problem("D2F504", message, notes=(note,)), Exit.PLUGIN)
        tower = TABLE[here].shape
        shape = (len(trained.crops), tower.width * len(blocks_of(trained.blocks, tower.depth)))
        linear = {**dict.fromkeys(NAMES, shape), "bias": ()}
        strict(held.arrays, shapes(*shape, trained.hidden) if trained.hidden else linear, self._head.name)
        # Once, not for every picture: a file holds the large arrays of a hidden layer in half precision.
        wide = {name: array.astype(np.float32) for name, array in held.arrays.items() if array.dtype == np.float16}
        self._arrays, self.trained_on = {**held.arrays, **wide}, held.trained_on
        self._tokens = TokenMaker(self._record, here, trained.blocks, trained.crops, self._precision)

    def score(self, batch: Any) -> list[Score]:
        """Return the log odds of `generated` of each view, its crops' as tiles."""
        assert self._tokens is not None
        if not len(batch):
            return []
        found = tile_scores(self._arrays, self._tokens(batch))
        pairs = zip(found, batch, strict=True)
        return [
            Score(float(tiles.mean()), tuple(tiles.tolist()), seen=self._tokens.seen(view)) for tiles, view in pairs
        ]


class ClipProbeTrainable:
    """What `d2f train` fits for the detector `clip-probe`: the head."""

    name = "clip-probe"
    summary = "A head on tokens of an image tower, linear or with a hidden layer, for the detector clip-probe."
    Options = TrainableOptions
    requires = ("scikit-learn>=1.4",)

    def __init__(self, options: TrainableOptions) -> None:
        self.options = options
        self._architecture, record = _tower(options.tower)
        self.weights = (record,)
        self._tokens: TokenMaker | None = None

    def features(self, pixels: Pixels) -> Floats | None:
        """Return the tokens of a view's crops, shape (crops * d,), float64; None where the detector would abstain."""
        import numpy as np

        from d2f_clip_probe.tokens import TokenMaker

        if NEEDS.unmet(pixels):
            return None
        if self._tokens is None:
            asked = (self.options.blocks, self.options.crops, self.options.precision)
            self._tokens = TokenMaker(self.weights[0], self._architecture, *asked)
        return self._tokens([pixels]).reshape(-1).astype(np.float64)

    def fit(self, features: Floats, labels: Labels, weights: Floats, seed: int) -> dict[str, NDArray[Any]]:
        """Fit features (n, crops * d), labels (n,), weights (n,); return the arrays of the weights file."""
        from d2f_clip_probe import head, hidden

        tokens = self._by_crop(features)
        if self.options.hidden is not None:
            return hidden.fit(tokens, labels, weights, self.options.hidden, seed)
        return head.fit(tokens, labels, weights, self.options.strength)

    def predict(self, arrays: Mapping[str, Any], features: Floats) -> Floats:
        """Return the scores (n,) of features (n, crops * d)."""
        scores: Floats = tile_scores(arrays, self._by_crop(features)).mean(axis=1)
        return scores

    def _by_crop(self, features: Floats) -> Floats:
        return features.reshape(len(features), len(self.options.crops), -1)

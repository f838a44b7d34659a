"""The recipe of `d2f train` as pydantic models: one head, and what estimators and networks add to it.

The descriptions feed the errors and docs/reference/recipes.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from d2f.api.inputs import ProtocolName

RECIPE_VERSION = 1
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)\s*")


def _rising(value: list[int]) -> list[int]:
    if value[0] > value[1]:
        raise ValueError("must be two whole numbers, the lesser first")
    return value


def _of_jpeg(value: list[int]) -> list[int]:
    if value[1] > 100:
        raise ValueError("must be two JPEG qualities from 1 to 100")
    return value


StageOptions = Annotated[dict[str, Any], Field(default_factory=dict)]
Interval = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2), AfterValidator(_rising)]
Qualities = Annotated[Interval, AfterValidator(_of_jpeg)]
DrawBounds = Annotated[list[int | float], Field(min_length=2, max_length=2)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Settings(BaseModel):
    """What all parts of a recipe share: frozen, no unknown key, text is no number and a number no text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Having(Settings):
    """Images with a value in a column."""

    column: str = Field(description="A column of the manifest, or `label`, `generator`, `source`, `collection`.")
    equals: str = Field(description="Images with this value in it.")


class DataSettings(Settings):
    """The images."""

    folder: str | None = Field(default=None, description="A folder or manifest; `--data` replaces it.")
    part: Literal["weights", "chains", "all"] = Field(
        default="weights", description="Part of the fixed split by collection; `all` takes both."
    )
    exclude: list[Having] = Field(default=[], description="Images of `folder` that are not used; `--exclude` adds.")


class Recipe(Settings):
    """What every recipe of `d2f train` says, format version 1."""

    d2f: Literal[1] = Field(description="Format version; checked first.")
    train: str = Field(description="Name of the trainable, as `d2f plugin list` shows it.")
    with_: StageOptions = Field(alias="with", description="The trainable's own options.")
    measure: list[str] = Field(
        default=[], description="Attacks, each a SPEC of `d2f attack`, under which the model is measured too."
    )
    seed: int = Field(default=0, ge=0, description="Of every draw.")

    def changed(self, changes: dict[str, Any]) -> Self:
        """Return the recipe with other values at dotted keys, such as ``optimiser.rate``."""
        return type(self).model_validate(with_values(self.plain(), changes))

    def plain(self) -> dict[str, Any]:
        """Return the recipe as plain data, as it is written in YAML."""
        return self.model_dump(mode="json", by_alias=True)


def with_values(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Set values at dotted keys of plain data, in place; a part that may be absent comes about by its keys."""
    for key, value in changes.items():
        *above, last = key.split(".")
        place: Any = plain
        for depth, part in enumerate(above):
            if depth == 0 and part in OPTIONAL and place[part] is None:
                place[part] = {}
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(last) if isinstance(place, list) else last] = value
    return plain


OPTIONAL = ("start",)
"""Parts of a recipe that are absent by default."""


def recipe_digest(recipe: Recipe) -> str:
    """Return ``sha256:…`` of what a recipe says, however it is written; where its data lie is left out."""
    plain = recipe.plain()
    plain["data"] = {key: value for key, value in plain["data"].items() if key != "folder" and value != []}
    if plain.get("tiles", {}).get("align") == 1:
        del plain["tiles"]["align"]  # It came later: a recipe without it keeps its digest.
    return f"sha256:{hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}"


# Estimators: fitted to a table of features.


class Variant(Settings):
    """What a variant of a training image may undergo after it was standardised by the protocol."""

    share: float = Field(gt=0.0, description="How often it is drawn, relative to the other entries.")
    steps: str = Field(default="", description="Preprocessors, as a SPEC of `d2f attack`; empty leaves it as it is.")


class Emphasis(Having):
    """Images that count more or less than the others."""

    factor: float = Field(gt=0.0, description="Their weight is multiplied by this.")


class EstimatorCopySettings(Settings):
    """Which variants of each image the model is fitted to."""

    protocol: Literal["whole", "crop", "as-found"] = Field(
        default="whole",
        description="How images are standardised: the whole picture, a fragment, or (with `fitting: 0`) not at all.",
    )
    fitting: int = Field(default=3, ge=0, description="Variants at random: scale, JPEG quality, a window of `crop`.")
    judging: int = Field(default=1, ge=0, description="Variants as they are judged.")
    measured: int = Field(
        default=0,
        ge=0,
        description="How often the variants of `measure`, the clean one among them, are fitted to as well; "
        "cross-validation fits to none of the fold that it measures.",
    )
    measured_only: list[Having] = Field(
        default=[],
        description="Images fitted to as `measured` says and in no random variant: for those whose laundered variants "
        "teach something that is true of this set only.",
    )
    windows: Interval = Field(default=[224, 320], description="Least and greatest side of `crop`'s window, in pixels.")
    qualities: Qualities = Field(default=[70, 98], description="Least and greatest random JPEG quality of `crop`.")
    scale: bool = Field(default=True, description="Whether `crop` at times reduces larger images towards the window.")

    @model_validator(mode="after")
    def _fitted_somehow(self) -> Self:
        if self.measured_only and not self.measured:
            raise ValueError("`measured_only` needs `measured` of at least 1: its images would not be fitted to at all")
        if self.protocol == "as-found" and self.fitting:
            raise ValueError("nothing is drawn under `as-found`: it needs `fitting: 0`")
        if not self.fitting + self.judging + self.measured:
            raise ValueError(
                "one of `fitting`, `judging` and `measured` must be at least 1: nothing would be fitted to"
            )
        return self


class EstimatorRecipe(Recipe):
    """A recipe of a model that is fitted in one fit to a table of features, and measured by cross-validation."""

    data: DataSettings = Field(default=DataSettings(), description="The images.")
    copies: EstimatorCopySettings = Field(
        default=EstimatorCopySettings(), description="Which variants of each image the model is fitted to."
    )
    augment: list[Variant] = Field(
        default=[], description="Each variant undergoes one of these, drawn by share; without any, none."
    )
    balance: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Weight of a source's image is count ** (balance - 1): 0 all sources alike, 1 all images alike.",
    )
    emphasis: list[Emphasis] = Field(default=[], description="Applied within each label, after the balance.")
    folds: int = Field(default=5, ge=2, description="Folds of the cross-validation, whole components each.")


# Networks: fitted step by step to tiles.


class Choice(Settings):
    """One operation: a preprocessor by name, or one of `crop`, `flip`, `rotate`, `colour`, `cut-out`."""

    use: str = Field(description="Name of the preprocessor or operation.")
    with_: StageOptions = Field(alias="with", description="Its own options.")
    draw: dict[str, DrawBounds] = Field(
        default={}, description="Options drawn anew each time, evenly between two bounds; whole numbers stay whole."
    )


class Augmentation(Settings):
    """An operation, or one of several, applied to a tile with a probability."""

    use: str | None = Field(default=None, description="Name of the preprocessor or operation.")
    with_: StageOptions = Field(alias="with", description="Its own options.")
    draw: dict[str, DrawBounds] = Field(default={}, description="Options drawn anew each time, between two bounds.")
    one_of: list[Choice] = Field(default=[], description="Instead of `use`: one of these is drawn, all alike.")
    probability: float = Field(default=1.0, gt=0.0, le=1.0, description="How often it is applied to a tile.")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.use is None) == (not self.one_of):
            raise ValueError("give either `use` or `one_of`")
        return self

    @property
    def choices(self) -> list[Choice]:
        """The operations that one is drawn from."""
        plain: dict[str, Any] = {"use": self.use, "with": self.with_, "draw": self.draw}
        return self.one_of or [Choice.model_validate(plain)]


class NetworkDataSettings(DataSettings):
    """The images."""

    validation: float | str = Field(
        default=0.2,
        description="Share of the images that validates, whole components; or a folder or manifest of its own.",
    )
    test: str | None = Field(default=None, description="A folder or manifest that is measured once, at the end.")
    limit: int | None = Field(default=None, ge=2, description="Train on so many images only, stratified and seeded.")

    @field_validator("validation")
    @classmethod
    def _share(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0.0 < value <= 0.5:
            raise ValueError("must be a share above 0 and at most 0.5, or a folder")
        return value


class TileSettings(Settings):
    """The tiles that are cut from each variant of an image."""

    size: int = Field(default=224, ge=8, description="Side of a tile in pixels, as the network sees it.")
    count: int = Field(default=1, ge=1, description="The most tiles taken from one variant.")
    pick: Literal["centre", "grid", "texture", "random"] = Field(
        default="centre", description="Which tiles; `random` draws them for training and takes the grid for validation."
    )
    margin: int = Field(
        default=0, ge=0, description="Pixels that a tile is cut larger by, so that augmentations may shrink it."
    )
    align: int = Field(
        default=1,
        ge=1,
        description="Tiles begin at multiples of this: 8 or 16 where they must begin where JPEG's blocks do.",
    )
    flat: float = Field(default=0.0, ge=0.0, description="Reject tiles whose grey levels deviate by less, in 0 to 255.")


class NetworkCopySettings(Settings):
    """Which variants of an image tiles are cut from."""

    protocol: ProtocolName = Field(default="whole", description="How images are standardised.")
    fitting: int = Field(default=1, ge=0, description="Variants at random: scale, JPEG quality, a window of `crop`.")
    judging: int = Field(default=0, ge=0, le=1, description="Variants as they are judged.")
    windows: Interval | None = Field(
        default=None, description="Least and greatest random window; tile to 320 by default."
    )
    qualities: Qualities = Field(default=[70, 98], description="Least and greatest random JPEG quality.")
    scale: bool = Field(default=True, description="Whether larger images are at times reduced towards the window.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.protocol != "as-found" and not self.fitting + self.judging:
            raise ValueError("at least one variant is needed: `fitting` or `judging` above 0")
        return self


class BalanceSettings(Settings):
    """How labels and sources are brought to count alike."""

    by: Literal["smallest", "oversample", "weights", "none"] = Field(
        default="smallest",
        description="An epoch draws as many tiles of each label as the smaller or the larger has, or weights the loss.",
    )
    sources: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Weight of a source's image is count ** (sources - 1): 0 all sources alike, 1 all images alike.",
    )
    tiles: int | None = Field(default=None, ge=2, description="So many tiles an epoch, whatever there are.")


class LossSettings(Settings):
    """What is minimised."""

    use: Literal["auto", "binary-cross-entropy", "cross-entropy"] = Field(
        default="auto", description="`auto`: binary cross entropy for one logit, cross entropy for two."
    )
    smoothing: Share = Field(default=0.0, description="Label smoothing: so much of a label is spread evenly.")
    class_weights: list[Annotated[float, Field(gt=0.0)]] | None = Field(
        default=None, min_length=2, max_length=2, description="Weights of real and generated in the loss."
    )


class OptimiserSettings(Settings):
    """How weights are changed."""

    use: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="Name of the optimiser.")
    rate: float = Field(default=0.01, gt=0.0, description="Learning rate at the top of the schedule.")
    momentum: Share = Field(default=0.9, description="Of sgd.")
    nesterov: bool = Field(default=False, description="Of sgd: look ahead along the momentum.")
    decay: float = Field(
        default=0.0, ge=0.0, description="Weight decay: of sgd in the gradient, of adamw apart from it."
    )
    betas: list[Share] = Field(default=[0.9, 0.999], min_length=2, max_length=2, description="Of adam and adamw.")
    clip: float | None = Field(default=None, gt=0.0, description="Greatest norm of an update's gradient.")


class ScheduleSettings(Settings):
    """How the learning rate changes over a run."""

    use: Literal["constant", "step", "cosine", "plateau"] = Field(default="constant", description="Its shape.")
    every: int = Field(default=10, ge=1, description="Of step: epochs between two reductions.")
    factor: float = Field(
        default=0.1, gt=0.0, lt=1.0, description="Of step and plateau: what the rate is multiplied by."
    )
    patience: int = Field(default=4, ge=1, description="Of plateau: epochs without a lower validation loss.")
    floor: float = Field(default=0.0, ge=0.0, description="The least rate.")
    warm_up: int = Field(default=0, ge=0, description="Updates over which the rate rises evenly from 0.")


class StartSettings(Settings):
    """Weights that training starts from; a head for another number of logits is drawn anew."""

    weights: str = Field(description="Name of a set of weights, as `d2f weights list` shows it, or a path.")
    publisher: Literal["d2f", "torchvision", "timm"] = Field(
        default="d2f",
        description="Whose names the arrays have. Those of torchvision and timm were made with normalised pixels: "
        "resnet's option `normalise: imagenet` does that.",
    )
    freeze: str | None = Field(
        default=None,
        description="The first layer that learns, such as stages.2 or head; those before it stay as they are.",
    )


class StopSettings(Settings):
    """When a run ends early; the best checkpoint is what is written."""

    watch: Literal["loss", "auc", "accuracy", "balanced_accuracy", "f1"] = Field(
        default="loss", description="The validation figure that says which epoch is best."
    )
    patience: int | None = Field(default=8, ge=1, description="Epochs without a better figure; null trains to the end.")
    delta: float = Field(default=0.0, ge=0.0, description="What a figure must gain to count as better.")


class NetworkRecipe(Recipe):
    """A recipe of a network, which is fitted step by step to tiles and measured on images that validate."""

    data: NetworkDataSettings = Field(default=NetworkDataSettings(), description="The images.")
    start: StartSettings | None = Field(default=None, description="Weights to start from, instead of random ones.")
    tiles: TileSettings = Field(default=TileSettings(), description="The tiles that are cut from each variant.")
    copies: NetworkCopySettings = Field(
        default=NetworkCopySettings(), description="Which variants of an image tiles are cut from."
    )
    balance: BalanceSettings = Field(default=BalanceSettings(), description="How labels and sources count.")
    augment: list[Augmentation] = Field(default=[], description="What a training tile undergoes, in order.")
    loss: LossSettings = Field(default=LossSettings(), description="What is minimised.")
    optimiser: OptimiserSettings = Field(default=OptimiserSettings(), description="How weights are changed.")
    schedule: ScheduleSettings = Field(default=ScheduleSettings(), description="How the learning rate changes.")
    batch: int = Field(default=32, ge=1, description="Tiles that go through the network at once.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one update.")
    memory: str | None = Field(
        default=None, description="Such as 2GB: batches are made smaller, and accumulated, until a step's peak fits."
    )
    epochs: int = Field(default=30, ge=1, description="The most epochs.")
    stop: StopSettings = Field(default=StopSettings(), description="When a run ends early.")
    checkpoint: int = Field(default=200, ge=1, description="Updates between two checkpoints, beside each epoch's.")
    compile: Literal["auto", "on", "off"] = Field(
        default="auto", description="Compile the step; `auto` does so on a GPU, where it pays."
    )

    @field_validator("memory")
    @classmethod
    def _bytes(cls, value: str | None) -> str | None:
        if value is not None and not SIZE.fullmatch(value):
            raise ValueError("must be a number with MB, GB, MiB or GiB")
        return value

    @property
    def memory_bytes(self) -> int | None:
        """The memory budget in bytes."""
        found = SIZE.fullmatch(self.memory or "")
        return int(float(found[1]) * UNITS[found[2]]) if found else None

    @property
    def side(self) -> int:
        """Side of a tile with its margin, in pixels."""
        return self.tiles.size + self.tiles.margin

"""What a recipe says of the optimiser and its schedule."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from d2f.api.inputs import ProtocolName
from d2f.chain.model import ChainModel
from d2f.train.recipe import Having, Interval, Options, Qualities

Range = Annotated[list[int | float], Field(min_length=2, max_length=2)]


class Choice(ChainModel):
    """One operation: a preprocessor by name, or one of `crop`, `flip`, `rotate`, `colour`, `cut-out` of this room."""

    use: str = Field(description="Name of the preprocessor or operation.")
    with_: Options = Field(alias="with", description="Its own options.")
    draw: dict[str, Range] = Field(
        default={}, description="Options drawn anew each time, evenly between two bounds; whole numbers stay whole."
    )


class Augmentation(ChainModel):
    """An operation, or one of several, laid over a tile with a probability."""

    use: str | None = Field(default=None, description="Name of the preprocessor or operation.")
    with_: Options = Field(alias="with", description="Its own options.")
    draw: dict[str, Range] = Field(default={}, description="Options drawn anew each time, between two bounds.")
    one_of: list[Choice] = Field(default=[], description="Instead of `use`: one of these is drawn, all alike.")
    probability: float = Field(default=1.0, gt=0.0, le=1.0, description="How often it is laid over a tile.")

    @model_validator(mode="after")
    def _either(self) -> Augmentation:
        if (self.use is None) == (not self.one_of):
            raise ValueError("give either `use` or `one_of`")
        return self

    @property
    def choices(self) -> list[Choice]:
        """The operations that one is drawn from."""
        if self.one_of:
            return self.one_of
        plain: dict[str, Any] = {"use": self.use, "with": self.with_, "draw": self.draw}
        return [Choice.model_validate(plain)]


class Optimiser(ChainModel):
    """How weights are changed."""

    use: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="Name of the optimiser.")
    rate: float = Field(default=0.01, gt=0.0, description="Learning rate at the top of the schedule.")
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0, description="Of sgd.")
    nesterov: bool = Field(default=False, description="Of sgd: look ahead along the momentum.")
    decay: float = Field(
        default=0.0, ge=0.0, description="Weight decay: of sgd in the gradient, of adamw apart from it."
    )
    betas: list[Annotated[float, Field(ge=0.0, lt=1.0)]] = Field(
        default=[0.9, 0.999], min_length=2, max_length=2, description="Of adam and adamw."
    )
    clip: float | None = Field(default=None, gt=0.0, description="Greatest norm of an update's gradient.")


class Schedule(ChainModel):
    """How the rate changes over a run."""

    use: Literal["constant", "step", "cosine", "plateau"] = Field(default="constant", description="Its shape.")
    every: int = Field(default=10, ge=1, description="Of step: epochs between two reductions.")
    factor: float = Field(
        default=0.1, gt=0.0, lt=1.0, description="Of step and plateau: what the rate is multiplied by."
    )
    patience: int = Field(default=4, ge=1, description="Of plateau: epochs without a lower validation loss.")
    floor: float = Field(default=0.0, ge=0.0, description="The least rate.")
    warm_up: int = Field(default=0, ge=0, description="Updates over which the rate rises evenly from 0.")


UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)\s*")


class Data(ChainModel):
    """The images."""

    folder: str | None = Field(default=None, description="A folder or manifest; `--data` goes before it.")
    part: Literal["weights", "chains", "all"] = Field(
        default="weights", description="Part of the fixed split by collection; `all` takes both."
    )
    leave_out: list[Having] = Field(default=[], description="Images of `folder` that are not used.")
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


class Tiles(ChainModel):
    """The tiles that are cut from each copy of an image."""

    size: int = Field(default=224, ge=8, description="Side of a tile in pixels, as the network sees it.")
    count: int = Field(default=1, ge=1, description="The most tiles taken from one copy.")
    pick: Literal["centre", "grid", "texture", "random"] = Field(
        default="centre", description="Which tiles; `random` draws them for training and takes the grid for validation."
    )
    margin: int = Field(
        default=0, ge=0, description="Pixels that a tile is cut larger by, so that augmentations that shrink have room."
    )
    flat: float = Field(default=0.0, ge=0.0, description="Reject tiles whose grey levels deviate by less, in 0 to 255.")


class Copies(ChainModel):
    """Which copies of an image tiles are cut from."""

    protocol: ProtocolName = Field(default="whole", description="How images are brought alike.")
    fitting: int = Field(default=1, ge=0, description="Copies at random: scale, JPEG quality, and a window of `crop`.")
    judging: int = Field(default=0, ge=0, le=1, description="Copies as they are judged.")
    windows: Interval | None = Field(
        default=None, description="Least and greatest random window; tile to 320 by default."
    )
    qualities: Qualities = Field(default=[70, 98], description="Least and greatest random JPEG quality.")
    scale: bool = Field(default=True, description="Whether larger images are at times reduced towards the window.")

    @model_validator(mode="after")
    def _some(self) -> Copies:
        if self.protocol != "as-found" and not self.fitting + self.judging:
            raise ValueError("at least one copy is needed: `fitting` or `judging` above 0")
        return self


class Balance(ChainModel):
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


class Loss(ChainModel):
    """What is made small."""

    use: Literal["auto", "binary-cross-entropy", "cross-entropy"] = Field(
        default="auto", description="`auto`: binary cross entropy for one logit, cross entropy for two."
    )
    smoothing: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Label smoothing: so much of a label is spread evenly."
    )
    class_weights: list[Annotated[float, Field(gt=0.0)]] | None = Field(
        default=None, min_length=2, max_length=2, description="Weights of real and generated in the loss."
    )


class Start(ChainModel):
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


class Stop(ChainModel):
    """When a run ends early; the best checkpoint is what is written."""

    watch: Literal["loss", "auc", "accuracy", "balanced_accuracy", "f1"] = Field(
        default="loss", description="The validation figure that says which epoch is best."
    )
    patience: int | None = Field(default=8, ge=1, description="Epochs without a better figure; null trains to the end.")
    delta: float = Field(default=0.0, ge=0.0, description="What a figure must gain to count as better.")


class NetworkRecipe(ChainModel):
    """A recipe of `d2f train`, format version 1, for networks that are fitted step by step."""

    d2f: Literal[1] = Field(description="Format version; checked first.")
    train: str = Field(description="Name of the trainable, as `d2f plugin list` shows it.")
    with_: Options = Field(alias="with", description="The trainable's own options: depth, stem, logits, …")
    data: Data = Field(default=Data(), description="The images.")
    start: Start | None = Field(default=None, description="Weights that training starts from, instead of random ones.")
    tiles: Tiles = Field(default=Tiles(), description="The tiles that are cut from each copy of an image.")
    copies: Copies = Field(default=Copies(), description="Which copies of an image tiles are cut from.")
    balance: Balance = Field(default=Balance(), description="How labels and sources are brought to count alike.")
    augment: list[Augmentation] = Field(default=[], description="What a training tile undergoes, in order.")
    measure: list[str] = Field(
        default=[], description="Attacks, as of `d2f attack`, under which the best epoch is measured at the end."
    )
    loss: Loss = Field(default=Loss(), description="What is made small.")
    optimiser: Optimiser = Field(default=Optimiser(), description="How weights are changed.")
    schedule: Schedule = Field(default=Schedule(), description="How the rate changes over a run.")
    batch: int = Field(default=32, ge=1, description="Tiles that go through the network at once.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one update.")
    memory: str | None = Field(
        default=None, description="Such as 2GB: batches are made smaller, and accumulated, until a step's peak fits."
    )
    epochs: int = Field(default=30, ge=1, description="The most epochs.")
    stop: Stop = Field(default=Stop(), description="When a run ends early.")
    checkpoint: int = Field(default=200, ge=1, description="Updates between two checkpoints, beside each epoch's.")
    compile: Literal["auto", "on", "off"] = Field(
        default="auto", description="Compile the step; `auto` does so on a GPU, where it pays."
    )
    seed: int = Field(default=0, ge=0, description="Of every draw.")

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

    def changed(self, changes: dict[str, Any]) -> NetworkRecipe:
        """Return the recipe with other values at dotted keys, such as ``optimiser.rate``; raises as pydantic does."""
        plain = self.model_dump(mode="json", by_alias=True)
        for key, value in changes.items():
            *above, last = key.split(".")
            place = plain
            for part in above:
                place = place[int(part)] if isinstance(place, list) else place[part]
            place[last] = value
        return NetworkRecipe.model_validate(plain)

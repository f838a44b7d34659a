"""The recipe as pydantic models; the descriptions feed the errors and the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import Floats
from d2f.chain.model import ChainModel
from d2f.data.dataset import Dataset, Labelled, column_value, columns_of

if TYPE_CHECKING:
    from d2f.train.network_recipe import NetworkRecipe


RECIPE_VERSION = 1
Options = Annotated[dict[str, Any], Field(default_factory=dict)]


def _rising(value: list[int]) -> list[int]:
    if value[0] > value[1]:
        raise ValueError("must be two whole numbers, the lesser first")
    return value


def _of_jpeg(value: list[int]) -> list[int]:
    if value[1] > 100:
        raise ValueError("must be two JPEG qualities from 1 to 100")
    return value


Interval = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2), AfterValidator(_rising)]
Qualities = Annotated[Interval, AfterValidator(_of_jpeg)]


class StepUse(ChainModel):
    """A preprocessor by name, with its options."""

    use: str = Field(description="Name of the preprocessor, as `d2f plugin list` shows it.")
    with_: Options = Field(alias="with", description="The preprocessor's own options.")


class Augmentation(ChainModel):
    """What a copy of a training image may undergo after it was brought alike."""

    share: float = Field(gt=0.0, description="How often it is drawn, relative to the other entries.")
    steps: list[StepUse] = Field(default=[], description="Preprocessors in order; none leaves the copy as it is.")


class Having(ChainModel):
    """Images with a value in a column."""

    column: str = Field(description="A column of the manifest, or `label`, `generator`, `source`, `collection`.")
    equals: str = Field(description="Images with this value in it.")


class Emphasis(Having):
    """Images that count more or less than the others."""

    factor: float = Field(gt=0.0, allow_inf_nan=False, description="Their weight is multiplied by this.")


class DataPart(ChainModel):
    """The images."""

    folder: str | None = Field(default=None, description="A folder or manifest; `--data` goes before it.")
    part: Literal["weights", "chains", "all"] = Field(
        default="weights", description="Part of the fixed split by collection; `all` takes both."
    )
    leave_out: list[Having] = Field(default=[], description="Images of `folder` that are not used.")


class Copies(ChainModel):
    """Which copies of each image the model is fitted to."""

    protocol: Literal["whole", "crop"] = Field(
        default="whole", description="How images are brought alike: the whole picture, or a fragment of it."
    )
    fitting: int = Field(default=3, ge=0, description="Copies at random: scale, JPEG quality, and a window of `crop`.")
    judging: int = Field(default=1, ge=0, description="Copies as they are judged.")
    measured: int = Field(
        default=0,
        ge=0,
        description="How often the copies of `measure`, the clean one among them, are fitted to as well; "
        "cross-validation fits to none of the fold that it measures.",
    )
    measured_only: list[Having] = Field(
        default=[],
        description="Images fitted to as `measured` says and in no random copy: for those whose laundered copies teach "
        "something that is true of this set only.",
    )
    windows: Interval = Field(default=[224, 320], description="Least and greatest side of `crop`'s window, in pixels.")
    qualities: Qualities = Field(default=[70, 98], description="Least and greatest random JPEG quality of `crop`.")
    scale: bool = Field(default=True, description="Whether `crop` at times reduces larger images towards the window.")

    @model_validator(mode="after")
    def _fitted_somehow(self) -> Self:
        if self.measured_only and not self.measured:
            raise ValueError("`measured_only` needs `measured` of at least 1: its images would not be fitted to at all")
        return self


class Recipe(ChainModel):
    """A recipe of `d2f train`, format version 1, for models that are fitted at one stroke."""

    d2f: Literal[1] = Field(description="Format version; checked first.")
    train: str = Field(description="Name of the trainable, as `d2f plugin list` shows it.")
    with_: Options = Field(alias="with", description="The trainable's own options.")
    data: DataPart = Field(default=DataPart(), description="The images.")
    copies: Copies = Field(default=Copies(), description="Which copies of each image the model is fitted to.")
    augment: list[Augmentation] = Field(
        default=[], description="Each copy undergoes one of these, drawn by share; without any, none."
    )
    measure: list[StepUse] = Field(
        default=[], description="Attacks under which cross-validation measures, beside the clean judging copy."
    )
    balance: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Weight of a source's image is count ** (balance - 1): 0 all sources alike, 1 all images alike.",
    )
    emphasis: list[Emphasis] = Field(default=[], description="Applied within each label, after the balance.")
    folds: int = Field(default=5, ge=2, description="Folds of the cross-validation, whole components each.")
    seed: int = Field(default=0, ge=0, description="Of every draw.")


def without_newer_keys(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's plain data without keys that say nothing and are younger than digests of recipes."""
    newer = {("data", "leave_out"): [], ("copies", "measured_only"): [], ("copies", "protocol"): "crop"}
    return {
        block: {key: value for key, value in said.items() if newer.get((block, key), ...) != value}
        if isinstance(said, dict)
        else said
        for block, said in plain.items()
    }


def need_columns(recipe: Recipe | NetworkRecipe, dataset: Dataset) -> None:
    """Refuse a recipe that chooses images by a column that the set does not have."""
    columns = columns_of(dataset)
    notes = (f"there are {', '.join(columns)}",)
    problems = [
        Problem("D2F606", f"`{place}[{number}]` names a column that no image has: '{each.column}'", notes=notes)
        for place, listed in _named(recipe)
        for number, each in enumerate(listed)
        if each.column not in columns
    ]
    if problems:
        raise D2FError(problems)


def _named(recipe: Recipe | NetworkRecipe) -> Iterator[tuple[str, Sequence[Having]]]:
    yield "data.leave_out", recipe.data.leave_out
    if isinstance(recipe, Recipe):
        yield "copies.measured_only", recipe.copies.measured_only
        yield "emphasis", recipe.emphasis


def image_weights(dataset: Dataset, balance: float, emphasis: Sequence[Emphasis] = ()) -> Floats:
    """Return the weight of each image, shape (n,), mean 1, both labels of one sum."""
    keys = [(image.collection, image.generator, image.label) for image in dataset]
    counts = Counter(keys)
    weights = np.array([counts[key] ** (balance - 1.0) for key in keys])
    for each in emphasis:
        weights *= [each.factor if has(image, each) else 1.0 for image in dataset]
    for label in (0, 1):
        chosen = dataset.labels == label
        weights[chosen] *= len(dataset) / (2 * weights[chosen].sum())
    return weights


def has(image: Labelled, having: Having) -> bool:
    """Whether an image has a value in a column."""
    return column_value(image, having.column) == having.equals


def with_any(dataset: Dataset, havings: Sequence[Having]) -> NDArray[np.bool_]:
    """Return which images have any of the values, shape (n,)."""
    return np.array([any(has(image, each) for each in havings) for image in dataset], dtype=bool)

"""What there is to say about somebody else's classifier: its file, its input, its output, and how that is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from d2f.framing import Fit, Interpolation, Longer, Offset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side: TypeAlias = Annotated[int, Field(ge=8, le=8192)]
Three: TypeAlias = tuple[float, float, float]


class OnnxOptions(BaseModel):
    """A classifier in an ONNX file: where it is, what it is shown, and how its output is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        default="",
        description="Path to the .onnx file; or where it was fetched from (https://…, hf://…, pypi:…), with `sha256`.",
    )
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="Digest that the file must have, 64 hexadecimal digits."
    )
    size: Side | tuple[Side, Side] | None = Field(
        default=None, description="Side of the input in pixels, or [height, width]; by default as the file says."
    )
    layout: Literal["nchw", "nhwc"] = Field(default="nchw", description="Order of the input's dimensions.")
    fit: Fit = Field(
        default="short-side",
        description="`short-side`: resize the shorter side, cut the centre; `squash`: resize both sides; `centre`: cut "
        "the centre at the view's own scale, black where the view is smaller.",
    )
    resize: Side | None = Field(
        default=None, description="For `short-side`: pixels of the shorter side before the cut; by default the input's."
    )
    longer: Longer = Field(
        default="cut",
        description="For `short-side`: the longer side in proportion, `cut` to an integer as torchvision and "
        "transformers do, or rounded to the `nearest`.",
    )
    offset: Offset = Field(
        default="even",
        description="Where the centre begins when half a pixel is left: rounded half to `even` as torchvision does, or "
        "the lower one (`floor`).",
    )
    interpolation: Interpolation = Field(default="bilinear", description="Pillow's filter, widened where it shrinks.")
    normalise: Literal["imagenet", "clip", "half", "unit", "bytes"] = Field(
        default="imagenet",
        description="What becomes of pixels: the mean and deviation of ImageNet or CLIP, -1 to 1 (`half`), 0 to 1 "
        "(`unit`), or 0 to 255 (`bytes`).",
    )
    mean: Three | None = Field(default=None, description="Instead: subtracted from red, green, blue in 0 to 1.")
    deviation: Three | None = Field(default=None, description="With `mean`: what they are then divided by, above 0.")
    channels: Literal["rgb", "bgr"] = Field(default="rgb", description="Order of the colours.")
    output: str | None = Field(default=None, description="Name of the output to read; by default the only one.")
    gives: Literal["logit", "probability"] = Field(default="logit", description="What the output's numbers are.")
    generated: int | None = Field(
        default=None, ge=0, description="Which of the output's numbers stands for `generated`, from 0; needed for two."
    )
    higher: Literal["generated", "real"] = Field(
        default="generated", description="Of an output of one number: what a higher one says."
    )
    tiles: int | None = Field(
        default=None, ge=1, description="Most tiles of a view, each scored alone; by default the view as `fit` says."
    )
    pick: Literal["centre", "grid", "texture"] = Field(default="grid", description="Which tiles.")
    pool: Literal["mean", "median", "max"] = Field(default="mean", description="How tile scores become the image's.")
    provider: Literal["cpu", "auto", "cuda", "coreml"] = Field(
        default="cpu", description="What computes; `auto` takes CUDA or CoreML where onnxruntime has it."
    )

    @model_validator(mode="after")
    def _agree(self) -> OnnxOptions:
        if (self.mean is None) != (self.deviation is None):
            raise ValueError("mean and deviation go together")
        if self.deviation is not None and min(self.deviation) <= 0:
            raise ValueError("deviation must be above 0 in each channel")
        if self.tiles is not None and not isinstance(self.size, int):
            raise ValueError("tiles need `size`, their side in pixels")
        if self.resize is not None and self.fit != "short-side":
            raise ValueError("resize goes with `fit: short-side`")
        return self


SMALLEST = 1e-7
"""Probabilities are cut to [SMALLEST, 1 - SMALLEST], about the last that float32 tells from 1."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the numbers of an output mean.

    Parameters
    ----------
    gives : {'logit', 'probability'}
    generated : int or None
        Of more than one number: the place of `generated`.
    higher : {'generated', 'real'}
        Of one number: what a higher one says.
    """

    gives: Literal["logit", "probability"] = "logit"
    generated: int | None = None
    higher: Literal["generated", "real"] = "generated"

    def scores(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Return the log odds of `generated` of each row, shape (n,), float64, from an output (n, …).

        Of one number: the logit, or ln p / (1 - p), with its sign turned where a higher one says `real`. Of more,
        with g the place of `generated`: x_g - ln sum over the others of exp x, or ln p_g / (1 - p_g).

        Raises
        ------
        ValueError
            More than one number and no place, or one that there is not.
        """
        import numpy as np

        rows = output.reshape(len(output), -1).astype(np.float64)
        count = rows.shape[1]
        if count == 1:
            values = rows[:, 0] if self.gives == "logit" else _log_odds(rows[:, 0])
            return values if self.higher == "generated" else -values
        if self.generated is None:
            raise ValueError(f"the output has {count} numbers: say by `generated` which of them stands for generated")
        if self.generated >= count:
            raise ValueError(f"the output has {count} numbers, from 0: there is no {self.generated}")
        own = rows[:, self.generated]
        if self.gives == "probability":
            return _log_odds(own)
        others = np.delete(rows, self.generated, axis=1)
        scores: NDArray[np.float64] = own - np.logaddexp.reduce(others, axis=1)
        return scores


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    inside = np.clip(probability, SMALLEST, 1 - SMALLEST)
    odds: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return odds

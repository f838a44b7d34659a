"""The detectors: what each is shown, and which weights it takes. MLX is loaded when it is needed.

Each architecture has a module of its own with a function ``network(states, options)``: from state dicts as their
authors publish them to a callable on normalised pictures, float32 (n, height, width, 3), that returns logits (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from d2f import FileBytes, Tiles, Weights, WholeImage
from d2f.framing import NORMALISATIONS, Framing
from d2f.weights import read_hdf5, read_torch, read_weights, resolve
from d2f_published import records

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHECKPOINTS = (".pth", ".pt", ".ckpt")
HDF5 = (".h5", ".hdf5")


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsOptions(_Options):
    """Which weights."""

    weights: str = Field(default="default", description="Name of a set of weights, or a path to the authors' file.")


class UnivFDOptions(_Options):
    """Which head, and which tower."""

    weights: str = Field(default="default", description="Name of the head's weights, or a path to the authors' file.")
    tower: str = Field(
        default="tower", description="Name of the tower's weights, or a path to a file of CLIP ViT-L/14."
    )


class TinyLaDeDaOptions(_Options):
    """Which weights, and what they are shown of pixels."""

    weights: str = Field(default="wildrf", description="wildrf, forensynth, or a path to the authors' file.")
    residual: Literal["diagonal", "npr"] = Field(
        default="diagonal",
        description="What the network is shown: the gradient along a diagonal, as its authors train it, or the "
        "residual of NPR, as their larger network is trained.",
    )


class MesoNetOptions(_Options):
    """Which weights."""

    weights: str = Field(
        default="meso4-df",
        description="meso4-df, meso4-f2f, inception-df, inception-f2f, or a path to the authors' file.",
    )


class CNNDetectionOptions(_Options):
    """Which weights, and how much of a view."""

    weights: str = Field(
        default="half",
        description="half, tenth (the share of training images that were blurred and compressed), or a path to the "
        "authors' file.",
    )
    crop: Literal["centre", "none"] = Field(
        default="centre",
        description="The central 224 pixels, as the paper tests; or the whole view as it is, which the authors advise.",
    )


class _Published:
    """What the detectors share: weights read, views framed, logits made."""

    name: ClassVar[str]
    Options: ClassVar[type[_Options]]
    wants: WholeImage | Tiles | FileBytes = WholeImage()
    known: ClassVar[tuple[Weights, ...]]
    framing: ClassVar[Framing]

    def __init__(self, options: Any) -> None:
        self.options = options
        self.weights = tuple(resolve(option, self.known) for option in self._named(options))
        self._network: Callable[[Any], Any] | None = None

    @staticmethod
    def _named(options: Any) -> tuple[str, ...]:
        return (options.weights,)

    def load(self) -> None:
        """Read the weights.

        Raises
        ------
        WeightsMissing
            D2F502: they are not on this machine; the error says the command that fetches them.
        D2FError
            D2F503 to D2F505: they are damaged, or of another network.
        """
        module = import_module(f"d2f_published.{self.name.replace('-', '_')}")
        states = [_state(record) for record in self.weights]
        self._network = module.network(states, self.options, self.weights[0].name)

    def framed(self, view: Any) -> NDArray[Any]:
        """Return what the network is shown of a view, float32 (height, width, 3), normalised."""
        return self.framing(view)

    def score(self, batch: Any) -> Sequence[float]:
        """Return the log odds of `generated` of each view, uint8 (height, width, 3), each by itself."""
        import mlx.core as mx
        import numpy as np

        from d2f.layers import parallel

        assert self._network is not None
        pictures = [self.framed(view) for view in batch]
        if len({picture.shape for picture in pictures}) == 1:
            made = parallel(self._network, mx.array(np.stack(pictures)), images=1)
            return [float(value) for value in np.array(made)]
        return [float(np.array(self._network(mx.array(picture[None])))[0]) for picture in pictures]


def _state(record: Weights) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of a file, in whichever of the three formats it is published."""
    source = record.sources[0]
    file = source.rpartition("@")[0] if source.startswith("hf://") else source.partition("?")[0]
    if file.endswith(CHECKPOINTS):
        return read_torch(record)
    return read_hdf5(record) if file.endswith(HDF5) else read_weights(record).arrays


IMAGENET, CLIP, UNIT = (NORMALISATIONS[name] for name in ("imagenet", "clip", "unit"))


class CommFor(_Published):
    """Community Forensics: a vision transformer at 384 pixels."""

    name = "commfor"
    summary = "Community Forensics: ViT-S/16 at 384 pixels on thousands of generators."
    title = "content and style, by Community Forensics"
    looks_at = "The whole picture, by a network trained on thousands of generators."
    Options = WeightsOptions
    known = (records.COMMFOR,)
    framing = Framing((384, 384), "short-side", 440, "bilinear", *IMAGENET)


class UnivFD(_Published):
    """UnivFD: a linear head on the embedding of CLIP ViT-L/14."""

    name = "univfd"
    summary = "UnivFD: CLIP ViT-L/14 and a linear head trained on ProGAN."
    title = "content and style, by UnivFD"
    looks_at = "The centre of the picture, as a large image model sees it."
    Options = UnivFDOptions
    known = (records.UNIVFD, records.CLIP)
    framing = Framing((224, 224), "centre", None, "bilinear", *CLIP)

    @staticmethod
    def _named(options: UnivFDOptions) -> tuple[str, ...]:
        return options.weights, options.tower


class NPR(_Published):
    """NPR: what neighbouring pixels differ by, into two stages of a ResNet-50."""

    name = "npr"
    summary = "NPR: differences of neighbouring pixels into half a ResNet-50."
    title = "neighbouring pixels, by NPR"
    looks_at = "Differences of neighbouring pixels, where enlarging inside a generator leaves traces."
    Options = WeightsOptions
    known = (records.NPR,)
    framing = Framing((256, 256), "squash", None, "bilinear", *IMAGENET)


class TinyLaDeDa(_Published):
    """Tiny-LaDeDa: four convolutions on gradients, a score for every patch, averaged."""

    name = "tiny-ladeda"
    summary = "Tiny-LaDeDa: four convolutions and 1,297 parameters, scores of patches averaged."
    title = "small patches, by Tiny-LaDeDa"
    looks_at = "Gradients of small patches, averaged over the picture."
    Options = TinyLaDeDaOptions
    known = records.TINY_LADEDA
    framing = Framing((256, 256), "squash", None, "bilinear", *IMAGENET)


class MesoNet(_Published):
    """MesoNet: four layers for manipulated faces."""

    name = "mesonet"
    summary = "MesoNet: Meso4 and MesoInception4, for faces manipulated in videos."
    title = "faces, by MesoNet"
    looks_at = "Faces as manipulated videos show them."
    Options = MesoNetOptions
    known = records.MESONET
    framing = Framing((256, 256), "squash", None, "nearest", *UNIT)


class CNNDetection(_Published):
    """CNNDetection: a ResNet-50."""

    name = "cnndetection"
    summary = "CNNDetection: ResNet-50 trained on ProGAN, blurred and compressed."
    title = "texture, by CNNDetection"
    looks_at = "The centre of the picture, by a network trained on one generator of 2018."
    Options = CNNDetectionOptions
    known = records.CNNDETECTION
    framing = Framing((224, 224), "centre", None, "bilinear", *IMAGENET)

    def framed(self, view: Any) -> NDArray[Any]:
        """Return the central 224 pixels, or the whole view, normalised."""
        return self.framing.normalised(view) if self.options.crop == "none" else self.framing(view)


STAGES: tuple[Any, ...] = (CommFor, UnivFD, NPR, TinyLaDeDa, MesoNet, CNNDetection)

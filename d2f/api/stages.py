"""What each kind of stage must offer: typed protocols, no base class to inherit.

Every stage is a class with a kebab-case `name`, a one-line `summary`, and `Options`, one frozen pydantic
model with ``extra="forbid"`` whose fields are described. It is constructed with an instance of that
model, cheaply: weights load in `load`. Further attributes that a class *may* have are in `OPTIONAL`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from d2f.api.inputs import Floats, ImageFile, Input, Labels, Pixels
from d2f.api.outcomes import Abstention, Combination, Evidence, Outcome

if TYPE_CHECKING:
    from pydantic import BaseModel

OPTIONAL: Mapping[str, str] = {
    "requires": "tuple of requirements (``'torch>=2'``) to be installed; a missing one gives the install command",
    "load": "method without arguments that reads weights; called once, before the first image",
    "weights": "sequence of the `Weights` records in use; their digests enter the chain's digest",
    "trained_on": "uint64 array, after `load`: first 8 bytes, big-endian, of each training image's sha256",
    "ablations": "method of a network's trainable: name to options of simpler kin, for `d2f train ablate`",
    "needs": "`Needs` of a detector: views that lack them are abstained on before `score` is called",
    "time_limit": "seconds that one image may take in a worker process, 120 otherwise; ``--time-limit`` overrides it",
    "title": "what a detector looks at, for people, in a few words: ``sensor noise``",
    "looks_at": "the same in one sentence, for reports",
    "thread_safe": "bool, default False: `score` or `apply` may be called from several threads at once",
}
"""Attributes that a stage may have, and what d2f does with them."""


@runtime_checkable
class Stage(Protocol):
    """What all kinds of stage share: attributes of the class.

    Attributes
    ----------
    name : str
        Kebab-case, what chain files call it.
    summary : str
        One line.
    Options : type of pydantic.BaseModel
        Typed loosely, so that a plain ``Options = MyOptions`` in a class body passes a strict type checker.
    """

    name: str
    summary: str
    Options: type[Any]


@runtime_checkable
class Detector(Stage, Protocol):
    """Image to score, or abstention.

    Attributes
    ----------
    wants : WholeImage, Tiles or FileBytes
        What `score` is given; may depend on the options.
    """

    wants: Input

    def __init__(self, options: Any) -> None: ...

    def score(self, batch: Sequence[Pixels] | Pixels | Sequence[ImageFile]) -> Sequence[Outcome]:
        """Score a batch.

        Parameters
        ----------
        batch : list of uint8 (height, width, 3), or uint8 (batch, size, size, 3), or list of ImageFile
            As `wants` says. Not to be written to.

        Returns
        -------
        sequence of Score, Abstention or float
            One for each element of the batch, in order. An element's outcome may not depend on the others.
        """


@runtime_checkable
class Preprocessor(Stage, Protocol):
    """View to view: a step of a view, an attack of the bench, an augmentation of training."""

    def __init__(self, options: Any) -> None: ...

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the processed picture.

        Parameters
        ----------
        pixels : numpy.ndarray, shape (height, width, 3), uint8
            sRGB. Not to be written to.
        seed : int
            64 bits drawn from the image's bytes and the step's place; the only source of randomness.

        Returns
        -------
        numpy.ndarray, shape (height', width', 3), uint8
            Rounded half to even and clipped to 0..255; the size may differ.
        """


@runtime_checkable
class Precondition(Stage, Protocol):
    """A check that an image must pass before pixel detectors may judge it (chain key ``require``)."""

    def __init__(self, options: Any) -> None: ...

    def check(self, image: ImageFile) -> Abstention | None:
        """Return None where the image passes, else the reason, with the figure that was measured."""


@runtime_checkable
class EvidenceReader(Stage, Protocol):
    """File to findings of what it says about itself (chain key ``evidence``); never judged by pixel thresholds."""

    def __init__(self, options: Any) -> None: ...

    def read(self, data: bytes, pixels: Pixels | None) -> Sequence[Evidence]:
        """Read a file's bytes.

        Parameters
        ----------
        data : bytes
            The whole file.
        pixels : numpy.ndarray, shape (height, width, 3), uint8, or None
            The decoded picture, for marks in the pixels; None where it could not be decoded.

        Returns
        -------
        sequence of Evidence
            Empty where the file says nothing. Bad input gives fewer findings, never an exception.
        """


@runtime_checkable
class Calibrator(Stage, Protocol):
    """Score to probability. Its options are what `fit` found."""

    def __init__(self, options: Any) -> None: ...

    def probability(self, scores: Floats) -> Floats:
        """Return P(generated | score) at even prior, shape (n,), float64 in [0, 1], for finite scores (n,)."""

    @classmethod
    def fit(cls, scores: Floats, labels: Labels, weights: Floats) -> BaseModel:
        """Fit to scores (n,), labels (n,) of 0 (real) and 1 (generated), and weights (n,) > 0.

        Weights are such that both labels weigh alike, so that probabilities are at even prior.
        """


@runtime_checkable
class Combiner(Stage, Protocol):
    """Calibrated probabilities of an image's members to one log-likelihood ratio."""

    def __init__(self, options: Any, members: Sequence[str]) -> None: ...

    def combine(self, probabilities: Floats) -> Combination:
        """Combine probabilities (n, members), float64, NaN where a member has none; a row holds at least one."""

    @classmethod
    def fit(
        cls, options: Any, members: Sequence[str], probabilities: Floats, labels: Labels, weights: Floats
    ) -> BaseModel:
        """Return options fitted to probabilities (n, members); a combiner without parameters returns `options`."""


@runtime_checkable
class EstimatorTrainable(Stage, Protocol):
    """A model that `d2f train` fits to a table of features in one fit."""

    def __init__(self, options: Any) -> None: ...

    def features(self, pixels: Pixels) -> Floats | None:
        """Return the features of one view, shape (d,), float64, finite; None of a view that has none."""

    def fit(self, features: Floats, labels: Labels, weights: Floats, seed: int) -> Mapping[str, Any]:
        """Fit features (n, d), labels (n,), weights (n,); return the arrays that make the weights file."""

    def predict(self, arrays: Mapping[str, Any], features: Floats) -> Floats:
        """Return the scores (n,) of features (n, d) under arrays that `fit` returned."""


@runtime_checkable
class GradientTrainable(Stage, Protocol):
    """A network that `d2f train` fits step by step."""

    def __init__(self, options: Any) -> None: ...

    def build(self) -> Any:
        """Return a fresh ``mlx.nn.Module``: float32 (n, height, width, 3) in [0, 1] to logits (n,) or (n, 2)."""

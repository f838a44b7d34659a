"""The detector; PyTorch and transformers are loaded when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from d2f import FileBytes, Outcome, Problem, Tiles, Weights, WeightsMissing, WholeImage
from d2f_transformers.files import check_config, folder_of, records
from d2f_transformers.options import TransformersOptions

if TYPE_CHECKING:
    from d2f_transformers.classifier import Classifier


class TransformersDetector:
    """An image-classification model with its own image processor; the score is the log odds of `generated`."""

    name = "transformers"
    summary = "Any image-classification model of the Hugging Face hub or a folder; needs PyTorch and transformers."
    title = "outside model"
    looks_at = "Whatever the model of the Hugging Face hub was trained to look at."
    Options = TransformersOptions
    requires = ("torch>=2.4", "transformers>=4.45", "safetensors>=0.4")
    wants: WholeImage | Tiles | FileBytes = WholeImage()

    def __init__(self, options: TransformersOptions) -> None:
        self.options = options
        self.weights: tuple[Weights, ...] = ()
        self._classifier: Classifier | None = None
        if options.model:
            self._folder = folder_of(options.model, options.revision)
            self.weights = records(options.model, self._folder)

    def load(self) -> None:
        """Read the model; nothing is fetched, and no code that came with it is run.

        Raises
        ------
        WeightsMissing
            D2F502: no model is named.
        D2FError
            D2F503 to D2F505: a file changed, is refused, or the labels are not as the options say.
        """
        if not self.weights:
            notes = ("set the detector's option model to ORG/NAME or to a folder",)
            message = "`transformers` has no model of its own, and none is named"
            raise WeightsMissing(Problem("D2F502", message, notes=notes))
        name = f"model '{self.options.model}'"
        check_config(self._folder, name)
        from d2f_transformers.classifier import Classifier

        self._classifier = Classifier(self._folder, self.weights, self.options, name)

    def score(self, batch: Any) -> Sequence[Outcome]:
        """Return the log odds of `generated` of each view, uint8 (height, width, 3)."""
        assert self._classifier is not None
        return self._classifier(batch)

"""A trial's key: it changes with everything that the trial's result depends on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from d2f.data.dataset import Dataset
from d2f.data.digest import digest_of, file_sha256
from d2f.plugins.catalog import Catalog
from d2f.training.gradient.parts import parts
from d2f.training.gradient.recipe import Start
from d2f.training.gradient.trials import Trial
from d2f.training.run import recipe_digest
from d2f.weights import read_weights, resolve


@dataclass(frozen=True)
class TrialKeys:
    """Makes the keys of a study's trials; each file is read once for all of them.

    Parameters
    ----------
    catalog : Catalog
    data : str, optional
        A folder or manifest; a recipe's own otherwise.
    """

    catalog: Catalog
    data: str | None
    _known: dict[str, str] = field(default_factory=dict, repr=False)

    def of(self, trial: Trial) -> str:
        """Return the key: of recipe, fold, the images that train, validate and test, and the weights to start from.

        Raises
        ------
        D2FError
            What dividing the data raises, as a run does; D2F501 to D2F505 for weights that it starts from.
        """
        divided = parts(trial.recipe, self.data, trial.fold)
        told = [recipe_digest(trial.recipe), str(trial.fold)]
        told += [self._images(part) for part in (divided.training, divided.validation)]
        told.append("" if divided.test is None else self._images(divided.test))
        told.append("" if trial.recipe.start is None else self._weights(trial.recipe.start))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

    def _images(self, dataset: Dataset) -> str:
        return digest_of((self._file(image.path), image.label) for image in dataset)

    def _file(self, path: str) -> str:
        if path not in self._known:
            try:
                self._known[path] = file_sha256(path)
            except OSError:
                # Told as every broken image is, when it is decoded.
                self._known[path] = ""
        return self._known[path]

    def _weights(self, start: Start) -> str:
        name = f"weights {start.weights}"
        if name not in self._known:
            self._known[name] = read_weights(resolve(start.weights, self.catalog.weights)).sha256
        return self._known[name]

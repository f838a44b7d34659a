"""What the files of a set give away as they came, as `d2f data audit` measures it; headers only are read."""

from __future__ import annotations

from d2f.data.audit.properties import file_properties
from d2f.data.audit.telltales import Trial, telltales, together
from d2f.data.audit.verdicts import conclusion, verdict
from d2f.data.components import components
from d2f.data.dataset import Dataset
from d2f.data.inspection import inspect


def as_found(images: Dataset, seed: int = 0) -> list[str]:
    """Return the audit's sentences: its conclusion, then how well each property alone tells the label.

    Files that cannot be read are left out; scoring tells of them. Without both labels nothing is said.
    """
    seen = inspect(images)
    labels = seen.images.labels
    if len(set(labels.tolist())) < 2:
        return []
    trial, properties = Trial(labels, components(seen.images), seed=seed), file_properties(seen)
    found = (*telltales(properties, trial), together(properties, trial))
    return [conclusion(found), *map(verdict, found)]

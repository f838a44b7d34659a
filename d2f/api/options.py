"""Base of the options of stages; a module of its own, so that `import d2f` loads no pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Options of a stage: frozen, and unknown options are errors. Each field needs a description.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Blur(Options):
    ...     radius: float = Field(default=1.0, gt=0, description="Standard deviation in pixels.")
    >>> Blur(radius=2.0).radius
    2.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoOptions(Options):
    """Options of a stage that has none."""

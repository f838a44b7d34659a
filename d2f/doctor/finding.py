"""One thing that was found out about this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["fine", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the doctor's report.

    Parameters
    ----------
    section : str
        ``machine``, ``mlx``, ``images``, ``plugins`` or ``weights``.
    name : str
        What was looked at.
    value : str
        What was found.
    state : {'fine', 'warning', 'error'}
        A warning costs speed or a format; an error makes a run fail.
    remedy : str
        The next step, where there is one to take.
    """

    section: str
    name: str
    value: str
    state: State = "fine"
    remedy: str = ""

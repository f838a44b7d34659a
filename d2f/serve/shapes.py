"""The shapes of answers, for the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from d2f.api.rows import Row
from d2f.serve.explaining import Told


@dataclass(frozen=True)
class WrittenRow(Row):
    """A row as every output format has it."""

    path_bytes: str | None = None


class Words(BaseModel):
    """A row in words."""

    sentence: str
    reasons: list[str]


class JudgeAnswer(BaseModel):
    """One row a picture, in the order that they were sent in; `words` and `explanations` where they were asked for."""

    rows: list[WrittenRow]
    words: list[Words] | None = None
    explanations: list[Told] | None = None


class ErrorTold(BaseModel):
    """What is wrong: a code of docs/reference/errors.md, one line, and next steps."""

    code: str
    message: str
    notes: list[str]


class ErrorAnswer(BaseModel):
    """An answer that is an error."""

    error: ErrorTold


class RefusedRows(BaseModel):
    """An error; with the row of the picture, where a single one has no result."""

    error: ErrorTold
    rows: list[WrittenRow] | None = None
    words: list[Words] | None = None
    explanations: list[Told] | None = None


class Health(BaseModel):
    """That the process runs, or is ready."""

    status: str


class ChainAnswer(BaseModel):
    """What is served."""

    name: str
    description: str
    digest: str
    prior: float
    real_below: float
    generated_above: float
    false_positive_rate: float
    miss_rate: float
    fitted: dict[str, Any] | None
    titles: dict[str, str]
    legend: list[str]
    plugins: dict[str, str]
    limits: dict[str, float]
    jobs_of_folders: bool
    version: str


class JobAnswer(BaseModel):
    """A job: how many pictures were found and judged so far, and how many rows have which verdict or error.

    `passed_over`: files that were not taken, by ending or reason. `links_refused`: links that lead out of the root.
    """

    id: str
    name: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    found: int
    done: int
    results: dict[str, int]
    passed_over: dict[str, int]
    links_refused: int
    error: dict[str, str] | None
    created: float

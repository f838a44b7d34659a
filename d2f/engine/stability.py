"""Verdicts tried on slightly changed copies: one that a crop of one pixel turns is inconclusive.

A chain names small changes (`verdict.stability`), and how near to a threshold a probability must lie to be tried under
them (`verdict.stable_within`, fitted), so that the cost stays small. `judged_rows` makes the rows of every engine.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from d2f.api.inputs import ImageFile, Note
from d2f.api.rows import Failure, Missing, Row
from d2f.engine.judge import Judge
from d2f.engine.local import LocalEngine
from d2f.engine.plan import Scored, Step
from d2f.engine.prefetch import defer_errors
from d2f.engine.views import apply_step
from d2f.images.read import Unread

UNSTABLE = "unstable"
"""Code of the note of a verdict that does not hold."""

WAITING = 8
"""Images near a threshold that are tried together; rows behind the first of them wait."""

ROWS_WAITING = 64
"""So many rows at most, so that a run that is killed has lost no more."""


def judged_rows(engine: LocalEngine, judge: Judge, images: Iterable[ImageFile | Unread]) -> Iterator[Row]:
    """Score images and judge them, in order; a verdict that does not hold under the chain's small changes says so."""
    if judge.decision.stability:
        yield from _Trial(engine, judge).rows(images)
        return
    for scored in engine.score(images):
        yield judge.row(scored)


def changed(image: ImageFile, step: Step) -> ImageFile | Failure:
    """Return an image under a small change; its views draw the same noise as the image's own."""
    pixels = apply_step(step, 0, image.pixels, image.seed, " of `verdict.stability`")
    if isinstance(pixels, Failure):
        return pixels
    return replace(image, pixels=pixels, height=pixels.shape[0], width=pixels.shape[1])


@dataclass(slots=True, eq=False)
class _Waiting:
    """A row that is not written yet; `image` where its verdict is to be tried."""

    row: Row
    image: ImageFile | None


class _Trial:
    """Tries the verdicts of one run."""

    def __init__(self, engine: LocalEngine, judge: Judge) -> None:
        self._engine, self._judge = engine, judge
        self._waiting: deque[_Waiting] = deque()

    def rows(self, images: Iterable[ImageFile | Unread]) -> Iterator[Row]:
        held: deque[ImageFile | Unread] = deque()

        def remembered() -> Iterator[ImageFile | Unread]:
            for image in images:
                held.append(image)
                yield image

        errors: list[Exception] = []
        near = 0
        for scored in defer_errors(self._engine.score(remembered()), errors):
            one = self._judged(scored, held.popleft())
            self._waiting.append(one)
            near += one.image is not None
            if not 0 < near < WAITING or len(self._waiting) >= ROWS_WAITING:
                yield from self._settled()
                near = 0
        yield from self._settled()
        if errors:
            raise errors[0]

    def _judged(self, scored: Scored, image: ImageFile | Unread) -> _Waiting:
        row, decision = self._judge.row(scored), self._judge.decision
        decided = row.verdict in ("generated", "real") and isinstance(image, ImageFile)
        near = decided and row.probability is not None and decision.margin(row.probability) <= decision.stable_within
        return _Waiting(row, image if near and isinstance(image, ImageFile) else None)

    def _settled(self) -> Iterator[Row]:
        """Try what waits under each change in turn, and yield every waiting row."""
        for step in self._judge.decision.stability:
            copies: list[tuple[_Waiting, ImageFile]] = []
            for one in self._waiting:
                if one.image is None or one.row.verdict == "inconclusive":
                    continue
                copy = changed(one.image, step)
                if isinstance(copy, Failure):
                    lost = Missing(json.loads(step.key)["use"], f"{copy.code}: {copy.message}")
                    one.row = replace(one.row, verdict="inconclusive", missing=(*one.row.missing, lost))
                else:
                    copies.append((one, copy))
            # Preconditions and evidence are settled by the image itself.
            again = self._engine.score((copy for _, copy in copies), examine=False)
            for (one, _), scored in zip(copies, again, strict=True):
                one.row = _settled_row(one.row, self._judge.row(scored), step)
        while self._waiting:
            yield self._waiting.popleft().row


def _settled_row(row: Row, again: Row, step: Step) -> Row:
    """Return the row as it stays beside the row of its changed copy."""
    if again.verdict == row.verdict:
        return row
    found = "no probability" if again.probability is None else f"probability {again.probability:.4f}"
    message = (
        f"a small change of the picture ({_words(step)}) turns the verdict: {row.verdict} (probability "
        f"{row.probability:.4f}) without it, {again.verdict or 'none'} ({found}) with it"
    )
    lost = [one for one in again.missing if one not in row.missing]
    notes = (*row.notes, Note(UNSTABLE, message))
    return replace(row, verdict="inconclusive", notes=notes, missing=(*row.missing, *lost))


def _words(step: Step) -> str:
    """Return a step as a person reads it, such as ``shift, pixels 1``."""
    facts = json.loads(step.key)
    return ", ".join([facts["use"], *(f"{name} {value}" for name, value in facts["with"].items())])

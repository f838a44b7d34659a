"""A run summed up: counts, failures and caveats by reason, speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from d2f.api.errors import CODES, Exit
from d2f.api.rows import NOT_RUN, VERDICT_WORDS, Member, Row, verdicts_in_words
from d2f.output.append import Head
from d2f.output.lines import printable

MOST_REASONS = 50
REST = "other reasons"


@dataclass(slots=True)
class Reasons:
    """How often each reason was given, and for which image first; at most `MOST_REASONS` are distinguished."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, path: str) -> None:
        """Count one reason, given for the image `path`."""
        if reason not in self.counts and len(self.counts) >= MOST_REASONS:
            reason = REST
        self.counts[reason] += 1
        self.first.setdefault(reason, path)

    def lines(self, most: int = 10) -> list[str]:
        """Return the most frequent reasons, a line each, with their first image."""
        ordered = self.counts.most_common()
        lines = [f"{count:>8}  {reason}; first: {self.first[reason]}" for reason, count in ordered[:most]]
        left = ordered[most:]
        return [*lines, f"{sum(count for _, count in left):>8}  more, of {len(left)} kinds"] if left else lines

    def data(self) -> list[dict[str, str | int]]:
        """Return the reasons as plain data, the most frequent first."""
        ordered = self.counts.most_common()
        return [{"reason": reason, "count": count, "first": self.first[reason]} for reason, count in ordered]

    def __bool__(self) -> bool:
        return bool(self.counts)


STRONGEST = 2
"""How many members are named."""

WEAKEST = 0.05
"""In nats; what would be shown as 0.0 is left out."""

WIDEST = max(map(len, VERDICT_WORDS.values()))


def verdict_text(row: Row) -> str:
    """Return the verdict and its probability, such as ``AI-generated           0.9710``."""
    if row.error is not None:
        return "failed"
    words = "none" if row.verdict is None else VERDICT_WORDS[row.verdict]
    probability = "" if row.probability is None else f"{row.probability:.4f}"
    return f"{words:<{WIDEST}}  {probability}".rstrip()


def evidence_lines(row: Row) -> list[str]:
    """Return the error, or the strongest members, evidence, failed members, caveats and disagreements, a line each."""
    stated = [f"{one.kind}: {one.statement} ({one.trust})" for one in row.evidence]
    if row.error is not None:
        return [printable(line) for line in [f"{row.error.code}: {row.error.message}", *stated]]
    failed = [f"{member.name} {member.error.code}: {member.error.message}" for member in row.stages if member.error]
    disagreements = [f"disagreement: {verdicts_in_words(one)}" for one in row.disagreements]
    notes = [f"note: {note.message}" for note in row.notes if note.code not in ("too-few-scores", "not-fitted")]
    shown = {member.detector for member in row.stages if member.error}
    missing = [f"missing: {one.detector}: {one.reason}" for one in row.missing if one.detector not in shown]
    lines = [*(_strongest(row) or _silent(row)), *stated, *failed, *missing, *notes, *disagreements]
    return [printable(line) for line in lines]


def _strongest(row: Row) -> list[str]:
    """Return the members that moved the verdict most; a + speaks for generated, a - for real."""
    strengths = [(abs(member.contribution or 0.0), member) for member in row.stages]
    moved = sorted((one for one in strengths if one[0] >= WEAKEST), key=lambda one: -one[0])
    return [f"{member.contribution:+.1f} {member.name}{_evidence(member)}" for _, member in moved[:STRONGEST]]


def _evidence(member: Member) -> str:
    return f": {member.evidence}" if member.evidence else ""


QUIET = ("too-few-scores", "not-fitted", "partly-seen")
"""Notes that do not explain by themselves why there is no probability."""


def _silent(row: Row) -> list[str]:
    """Return why nothing moved the verdict: scores that nothing calibrates yet, the first detector that abstained."""
    if row.probability is not None or any(note.code not in QUIET for note in row.notes):
        return []
    abstained = [f"{member.name} abstained: {member.abstained}" for member in row.stages if member.abstained]
    uncalibrated = [member for member in row.stages if member.score is not None and member.probability is None]
    scores = [
        f"{member.name} = {member.score:.4g}{_evidence(member)}" for member in uncalibrated if member.error is None
    ]
    return [*(scores or ["too few scores"]), *abstained[:1]]


CAUTION = "A probability holds for images like those that the chain was fitted on."
MISSING = "stages that gave no answer"
CAVEATS = "caveats"
RESULTS: Mapping[str, str] = {**VERDICT_WORDS, "failed": "failed"}
"""What is counted, and how it reads."""


class Summary:
    """Counts rows; its size does not grow with their number."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._verdicts: Counter[str] = Counter()
        self._disagreeing = 0
        self._earlier = self._judged = 0
        self._failed, self._failed_members, self._abstained = Reasons(), Reasons(), Reasons()
        self._missing, self._notes, self._lost = Reasons(), Reasons(), False
        self._unfitted = False
        self._codes: Counter[str] = Counter()

    @property
    def images(self) -> int:
        """How many rows were counted, those of an earlier run among them."""
        return self._verdicts.total()

    @property
    def exit(self) -> Exit:
        """0 where every image was scored and no stage failed, otherwise 1; abstaining is no failure."""
        return Exit.SOME_FAILED if self._failed or self._failed_members or self._lost else Exit.OK

    def add(self, row: Row, earlier: bool = False) -> None:
        """Count a row; `earlier` says that another run has written it."""
        self._earlier += earlier
        self._judged += not earlier and row.error is None
        self._verdicts["failed" if row.error else row.verdict or "inconclusive"] += 1
        self._disagreeing += bool(row.disagreements)
        path = printable(row.path)
        if row.error:
            self._codes[row.error.code] += 1
            self._failed.add(f"{row.error.code}: {CODES.get(row.error.code, row.error.message)}", path)
        failed = {member.detector for member in row.stages if member.error}
        for missing in row.missing:
            if missing.detector not in failed:
                self._missing.add(printable(f"{missing.detector}: {missing.reason}"), path)
                self._lost |= missing.reason.startswith("D2F4")
        for note in row.notes:
            # By its code: messages hold the figures of one image.
            self._unfitted |= note.code == "not-fitted"
            self._notes.add(note.code, printable(f"{row.path}: {note.message}"))
        for member in row.stages:
            if member.error:
                self._codes[member.error.code] += 1
                self._failed_members.add(printable(f"{member.name} {member.error.code}: {member.error.message}"), path)
            if member.abstained and not member.abstained.startswith(NOT_RUN):
                self._abstained.add(printable(f"{member.name}: {member.abstained}"), path)

    def lines(self, seconds: float, where: str, ended: bool = True, search: Iterable[str] = ()) -> Iterator[str]:
        """Yield the summary's lines; `search` is what the search for images has met besides them."""
        counts = ", ".join(f"{self._verdicts[value]} {words}" for value, words in RESULTS.items())
        yield f"{counted(self.images, 'image')}: {counts}"
        yield from search
        for title, reasons in self._reasons().items():
            if reasons:
                yield title
                yield from reasons.lines()
        if self._disagreeing:
            yield f"{counted(self._disagreeing, 'image')} with a detector whose views disagree"
        if speed := self._speed(seconds, ended):
            yield speed
        yield f"chain {self._head.chain}, digest {self._head.digest[:12]}; rows written to {where}"
        if not self._unfitted:
            yield CAUTION

    def caveats(self) -> Iterator[str]:
        """Yield what rows alone do not show at a glance, for a run without a summary."""
        for title, reasons in self._reasons().items():
            if reasons and title in (MISSING, CAVEATS):
                yield title
                yield from reasons.lines()

    def pulse(self, seconds: float) -> dict[str, Any]:
        """Return the counters and the rate so far, at no cost."""
        new = self.images - self._earlier
        rate = round(new / max(seconds, 1e-9), 2)
        verdicts = {word: self._verdicts[word] for word in RESULTS}
        return {"images": self.images, "earlier": self._earlier, **verdicts, "codes": dict(self._codes), "rate": rate}

    def counts(self, seconds: float, ended: bool = True) -> dict[str, Any]:
        """Return the summary as plain data."""
        return {
            "chain": self._head.chain,
            "chain_digest": self._head.digest,
            "images": self.images,
            "verdicts": {word: self._verdicts[word] for word in RESULTS},
            "earlier": self._earlier,
            "ended": ended,
            "seconds": round(seconds, 3),
            "disagreements": self._disagreeing,
            "codes": dict(sorted(self._codes.items())),
            **{title: reasons.data() for title, reasons in self._reasons().items()},
        }

    def _reasons(self) -> dict[str, Reasons]:
        return {
            "failed images": self._failed,
            "failed members": self._failed_members,
            MISSING: self._missing,
            "members that abstained": self._abstained,
            CAVEATS: self._notes,
        }

    def _speed(self, seconds: float, ended: bool) -> str:
        new = self.images - self._earlier
        speed = "" if new else "none was left to do" if ended else "none was finished"
        if self._judged:
            speed = f"{new} in {seconds:.1f} s, {new / max(seconds, 1e-9):.1f} a second"
        earlier = f"{self._earlier} from an earlier run" if self._earlier else ""
        return "; ".join(part for part in (speed, earlier) if part)


def counted(number: int, noun: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")

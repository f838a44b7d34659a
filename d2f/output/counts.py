"""Counts by reason that stay small whatever strangers' files bring."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MOST_REASONS = 50
REST = "other reasons"


@dataclass(slots=True)
class Reasons:
    """How often each reason was given, and for which image first; at most `MOST_REASONS` are told apart."""

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

    def __bool__(self) -> bool:
        return bool(self.counts)

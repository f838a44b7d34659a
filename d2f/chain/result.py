"""A row with what it takes to show and to explain it: what `Chain.judge` and `Chain.run` give a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from d2f.api.rows import Row
from d2f.chain.words import legend, reasons, sentence, stage_titles

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.images.memory import InMemory


class Result(Row):
    """A `Row` that knows its chain and its image.

    It compares equal to a row of the same values, and is written, pickled and replaced as one.
    """

    __slots__ = ("_chain", "_image")
    _chain: Chain
    _image: str | InMemory
    # Put here by `d2f`: a report is made of rows, and its package stands above that of chains.
    _explained_by: ClassVar[Callable[..., Any]]

    @classmethod
    def of(cls, row: Row, chain: Chain, image: str | InMemory) -> Result:
        """Return a row as a result of `chain` for `image`."""
        result = cls(*(getattr(row, name) for name in _FIELDS))
        object.__setattr__(result, "_chain", chain)
        object.__setattr__(result, "_image", image)
        return result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = Row.__hash__

    def __repr__(self) -> str:
        return f"<Result {self.path}: {sentence(self)} (chain {self.chain})>"

    def __str__(self) -> str:
        return "\n".join([f"{self.path}: {sentence(self)}", *(f"  {line}" for line in self.lines())])

    def lines(self) -> list[str]:
        """Return why, in words, a line each: strength, each detector's share, what the file states, caveats."""
        chain: Chain | None = getattr(self, "_chain", None)
        return list(reasons(self, {} if chain is None else stage_titles(chain)))

    def explain(self, **options: Any) -> Any:
        """Judge the image again and measure where in the picture the verdict comes from.

        Parameters
        ----------
        **options
            Of `d2f.explain.explain_image`: ``maps="both"``, ``full=True``.

        Returns
        -------
        d2f.explain.Explanation
            A notebook shows it as a page; ``save("report.html")`` writes it, and its record beside it.
        """
        chain: Chain | None = getattr(self, "_chain", None)
        if chain is None:
            raise ValueError("this result does not know its image any more: d2f.explain.explain_image(chain, image)")
        return Result._explained_by(chain, self._image, **options)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdict, why, and in small print what holds for the whole chain."""
        chain: Chain | None = getattr(self, "_chain", None)
        why = "".join(f"<li>{escape(line)}</li>" for line in self.lines())
        small = "" if chain is None else "<br>".join(map(escape, legend(chain)))
        return (
            f"<div><p><b>{escape(sentence(self))}</b><br>{escape(self.path)}</p><ul>{why}</ul>"
            f"<p><small>{small}</small></p></div>"
        )


_FIELDS = tuple(field.name for field in fields(Row))

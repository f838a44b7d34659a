"""A chain file checked: every problem at once, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

from d2f.api.errors import Exit, Place, Problem
from d2f.chain.check_fit import check_fit, without_fit
from d2f.chain.check_names import check_names
from d2f.chain.check_stages import check_stages
from d2f.chain.check_structure import check_numbers, check_structure, check_version
from d2f.chain.model import ChainFile, Combine
from d2f.chain.outline import outline
from d2f.chain.source import Source, Text
from d2f.chain.yaml_reader import parse
from d2f.plugins.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Parameters
    ----------
    file : ChainFile or None
        None where there is an error.
    problems : tuple of Problem
        Errors and warnings by line.
    """

    file: ChainFile | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the chain from running."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def exit(self) -> Exit:
        """The exit code of a command that needs the chain."""
        if any(problem.code.startswith("D2F2") for problem in self.errors):
            return Exit.PLUGIN
        return Exit.USAGE if self.errors else Exit.OK


def check_text(text: Text, catalog: Catalog, *, refit: bool = False) -> Checked:
    """Check a chain file.

    Parameters
    ----------
    text : Text
        What it holds.
    catalog : Catalog
        Where its stages are looked up.
    refit : bool
        Whether the chain is about to be fitted: what an earlier fit wrote is then not held against it.
    """
    source, refused = parse(text)
    problems: list[Problem] = []
    if source is not None:
        source = without_fit(source) if refit else source
        wrong_version = check_version(source)
        refused += [wrong_version] if wrong_version is not None else check_numbers(source)
        problems = _check_parts(source, catalog, refit) if wrong_version is None else []
    found = _ordered(refused, problems)
    if source is None or any(problem.severity == "error" for problem in found):
        return Checked(None, found)
    return Checked(ChainFile.model_validate(source.root.data), found)


def _check_parts(source: Source, catalog: Catalog, refit: bool) -> list[Problem]:
    parts = outline(source.root, Combine().use)
    stage_problems, weights = check_stages(source, parts, catalog)
    problems = [*check_structure(source), *check_names(source, parts), *stage_problems]
    if refit:
        # Weights of cells that are gone are about to be replaced.
        return [problem for problem in problems if problem.code not in ("D2F122", "D2F127")]
    # A combiner without its weights is no error of the file: the chain waits to be fitted.
    kept = [problem for problem in problems if problem.code != "D2F127"]
    if any(problem.severity == "error" for problem in kept):
        return kept
    return [*kept, *check_fit(source, parts, weights, combiner=len(kept) == len(problems))]


def _ordered(refused: list[Problem], problems: list[Problem]) -> tuple[Problem, ...]:
    """Return all problems by line; of a token that was refused outright nothing more is said."""
    silenced = {_where(problem) for problem in refused if problem.code != "D2F101"}
    kept = [problem for problem in problems if _where(problem) not in silenced or not _where(problem)[0]]
    return tuple(sorted(dict.fromkeys([*refused, *kept]), key=_where))


def _where(problem: Problem) -> tuple[int, int]:
    place = problem.place or Place("")
    return place.line, place.column

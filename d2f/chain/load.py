"""A chain loaded by name or path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError
from d2f.chain.chain import Chain

if TYPE_CHECKING:
    from d2f.chain.source import Text
    from d2f.plugins.catalog import Catalog


def load_chain(name_or_path: str | os.PathLike[str], *, catalog: Catalog | None = None, refit: bool = False) -> Chain:
    """Load a chain.

    Parameters
    ----------
    name_or_path : str or path
        The name of a chain that ships with d2f, or the path of a chain file. It is a path where it is a
        `Path`, holds a separator, ends in ``.yaml`` or ``.yml``, or names a file that exists.
    catalog : d2f.plugins.catalog.Catalog, optional
        Where stages are looked up; what is installed by default.
    refit : bool
        Whether the chain is about to be fitted: what an earlier fit wrote is then left out, and
        `Chain.plan` holds no decision.

    Returns
    -------
    Chain
        Ready to run; no weights are loaded yet.

    Raises
    ------
    D2FError
        With every problem of the file, codes D2F100 to D2F130. Its exit code is 3 where a plugin that the
        chain needs is broken.

    Examples
    --------
    >>> import d2f
    >>> try:
    ...     d2f.load_chain("no-such-chain")
    ... except d2f.D2FError as error:
    ...     print(error.problems[0].code)
    D2F130
    """
    from d2f.plugins.catalog import Catalog

    return chain_of(chain_text(name_or_path), catalog or Catalog.discover(), refit)


def chain_of(text: Text, catalog: Catalog, refit: bool = False) -> Chain:
    """Make a chain of a file's text; see `load_chain`."""
    from d2f.chain.build import build_plan
    from d2f.chain.check import check_text

    checked = check_text(text, catalog, refit=refit)
    if checked.file is None:
        raise D2FError(checked.problems, checked.exit)
    plan = build_plan(checked.file, catalog, decision=not refit)
    return Chain(text.file, text.text, checked.file, plan, catalog, checked.problems)


def chain_text(name_or_path: str | os.PathLike[str]) -> Text:
    """Return the text of a chain, by name or path."""
    from d2f.chain.shipped import shipped_text
    from d2f.chain.source import as_text, read_text

    if is_path(name_or_path):
        return read_text(os.fspath(name_or_path))
    return as_text(os.fspath(name_or_path), shipped_text(os.fspath(name_or_path)))


def is_path(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this is a file's path rather than the name of a shipped chain.

    >>> is_path("robust"), is_path("robust.yaml"), is_path("./robust")
    (False, True, True)
    """
    if not isinstance(name_or_path, str):
        return True
    separators = {os.sep, os.altsep or os.sep}
    return (
        name_or_path.endswith((".yaml", ".yml"))
        or any(separator in name_or_path for separator in separators)
        or os.path.isfile(name_or_path)
    )

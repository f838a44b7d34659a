"""Formats by name and by the ending of a file's name."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal, TypeAlias, get_args

from d2f.api.errors import D2FError

Format: TypeAlias = Literal["table", "jsonl", "csv", "parquet"]

FORMATS: tuple[Format, ...] = get_args(Format)
RESUMABLE: tuple[Format, ...] = ("jsonl", "csv", "parquet")
ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "table",
}


def choose_format(path: str | None, wanted: Format | None) -> Format:
    """Return the format that is wanted, otherwise the one that the file's name ends in, otherwise ``table``.

    Parameters
    ----------
    path : str or None
        The file to write; None for the standard output.
    wanted : str or None
        One of `FORMATS`.

    Raises
    ------
    D2FError
        ``D2F001``: the name's ending says nothing, or Parquet would go to the standard output.
    """
    if path is None and wanted == "parquet":
        raise D2FError.of("D2F001", "Parquet is written to a folder of parts", "name it with -o FOLDER")
    if wanted is not None:
        return wanted
    if path is None:
        return "table"
    ending = PurePath(path).suffix.lower()
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise D2FError.of("D2F001", f"no format goes with the name '{path}'", f"give --format, or end it in {known}")
    return ENDINGS[ending]

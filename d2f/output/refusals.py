"""The errors of an output, each with its next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from d2f.api.errors import D2FError, Exit

OTHER_FILE = "choose another file with -o"


@contextmanager
def explained(name: str, resumable: bool = False) -> Iterator[None]:
    """Turn an OSError met while writing into ``D2F004``; a pipe closed by its reader stays a BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise stopped(name, error, resumable) from error


def stopped(name: str, error: OSError, resumable: bool) -> D2FError:
    """Return the error of an output that could be written so far, and no further."""
    kept = "rows written before this are whole; once it can be written again, repeat the command with --resume"
    return D2FError.of(
        "D2F004",
        f"'{name}' cannot be written: {error.strerror or error}",
        kept if resumable else OTHER_FILE,
        exit=Exit.SOME_FAILED,
    )


def cannot_open(name: str, error: OSError) -> D2FError:
    """Return the error of an output that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return D2FError.of("D2F004", f"'{name}' cannot be written: its folder is not there", "make it with mkdir -p")
    return D2FError.of("D2F004", f"'{name}' cannot be written: {error.strerror or error}", OTHER_FILE)


def exists(name: str) -> D2FError:
    """Return the error of an output that holds something already."""
    return D2FError.of(
        "D2F004",
        f"'{name}' exists already",
        "to continue it: --resume; to replace it: --overwrite; or choose another file with -o",
    )


def in_use(name: str) -> D2FError:
    """Return the error of an output that another run is writing."""
    return D2FError.of("D2F004", f"another run is writing '{name}'", f"wait for it to end, or {OTHER_FILE}")


def strange_folder(name: str, entry: str) -> D2FError:
    """Return the error of a folder for Parquet parts that holds something else."""
    return D2FError.of(
        "D2F004",
        f"'{name}' is a folder that holds something else than Parquet parts: '{entry}'",
        "choose a folder that is not there yet with -o; d2f makes it",
    )


def other_chain(name: str, theirs: str, ours: str) -> D2FError:
    """Return the error of rows that another chain made; `theirs` and `ours` are digests, the first perhaps empty."""
    digests = f" (digest {theirs[:12]}, this chain's is {ours[:12]})" if theirs else ""
    return D2FError.of(
        "D2F005",
        f"'{name}' holds rows of another chain{digests}",
        f"two chains' verdicts do not belong in one file: {OTHER_FILE}, or replace this one with --overwrite",
    )


def unreadable(name: str, why: str) -> D2FError:
    """Return the error of a file to resume that d2f did not write, or that was changed since."""
    return D2FError.of(
        "D2F006",
        f"'{name}' cannot be resumed: {why}",
        f"nothing in it was changed; {OTHER_FILE}, or replace it with --overwrite",
    )

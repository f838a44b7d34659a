"""Files written whole or not at all: atomic writes, refusal to overwrite, locks; names kept inside a folder.

Object stores by URL, ``scheme://…``: pyarrow's own file systems (S3, Google, Azure, HDFS), else those of fsspec.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from d2f.api.errors import D2FError, Exit

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

OTHER_FILE = "choose another file with -o"


@contextmanager
def explained(name: str | os.PathLike[str], *notes: str) -> Iterator[None]:
    """Turn an OSError met while writing into ``D2F004`` (exit 1); BrokenPipeError passes."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(name, error, *notes, exit=Exit.SOME_FAILED) from error


def cannot_write(name: str | os.PathLike[str], error: OSError | str, *notes: str, exit: Exit = Exit.USAGE) -> D2FError:
    """Return the error of an output that cannot be written, with the next step."""
    if isinstance(error, FileNotFoundError):
        message = f"'{name}' cannot be written: its folder does not exist"
        return D2FError.of("D2F004", message, "make it with mkdir -p", exit=exit)
    why = error if isinstance(error, str) else error.strerror or str(error)
    return D2FError.of("D2F004", f"'{name}' cannot be written: {why}", *(notes or (OTHER_FILE,)), exit=exit)


def other_spelling(path: str) -> str:
    """Return a hint where a path that is not there would be if it were written as it was meant; else empty."""
    meant = {
        path.replace("\\", os.sep): "with / in place of \\ it is there",
        path.replace('"', "").replace("'", ""): "without the quotes it is there",
        path.strip(): "without the blanks around it, it is there",
        os.path.join(*(part.strip() for part in os.path.split(path))): "without the blanks around it, it is there",
    }
    return next((hint for other, hint in meant.items() if other != path and os.path.exists(other)), "")


def require_new_file(path: str | os.PathLike[str], overwrite: bool = False, *, writable: bool = True) -> Path:
    """Return the path of a file to write, checked before long work: D2F004 where it exists or cannot be written."""
    place = Path(path)
    if os.path.isdir(place):
        raise D2FError.of("D2F004", f"'{path}' is a folder", "name a file")
    if os.path.lexists(place) and not overwrite:
        raise D2FError.of("D2F004", f"'{path}' already exists", "to replace it: --overwrite")
    if writable:
        if is_absent(place.parent):
            raise cannot_write(path, FileNotFoundError())
        exists = os.path.exists(place)
        if not os.access(place if exists else place.parent, os.W_OK if exists else os.W_OK | os.X_OK):
            raise cannot_write(path, "permission denied")
    return place


def require_new_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder to fill; D2F004 where it is a file, holds anything or cannot be looked into."""
    what = ""
    try:
        what = "is not empty" if os.listdir(path) else ""
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        what = "is a file"
    except OSError as error:
        raise cannot_write(path, error) from error
    if what:
        raise D2FError.of("D2F004", f"'{path}' {what}", "name a folder that is empty or does not exist yet")
    return Path(path)


def is_absent(path: str | os.PathLike[str]) -> bool:
    """Whether nothing exists at a path. What may not be looked at is not absent: reading it says why."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def below(folder: str | os.PathLike[str], name: str) -> Path | None:
    """Return where a name that a stranger gave leads, after links; None where that is not inside the folder."""
    try:
        base = Path(os.path.realpath(folder))
        found = Path(os.path.realpath(base / name))
    except (OSError, ValueError):
        return None
    return found if found.is_relative_to(base) else None


def write_whole(path: str | os.PathLike[str], data: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file under another name and rename it: a reader sees the old content or the new, never a part.

    `data` is bytes, text (UTF-8, line ends as given) or a function that writes to the open file.
    """
    place = Path(path)
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    with explained(path):
        try:
            with open(part, "wb") as file:
                if callable(data):
                    data(file)
                else:
                    file.write(data.encode("utf-8") if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, place)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def file_lock(
    path: str | os.PathLike[str], *, wait: bool = True, waiting: Callable[[], object] | None = None
) -> Iterator[None]:
    """Hold an exclusive lock on ``PATH.lock`` between processes; without `wait`: BlockingIOError if held.

    `waiting` is called before another process is waited for.
    """
    with open(f"{os.fspath(path)}.lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            if waiting is not None:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


NATIVE = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
"""Schemes that pyarrow brings a file system of its own for."""

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_url(path: str) -> bool:
    """Whether a path names an object of a store.

    >>> is_url("s3://photos/a.jpg"), is_url("photos/a.jpg")
    (True, False)
    """
    return "://" in path and _URL.match(path) is not None


@lru_cache(maxsize=32)
def _file_system(scheme: str, authority: str) -> FileSystem:
    from pyarrow import fs

    if scheme in NATIVE:
        return fs.FileSystem.from_uri(f"{scheme}://{authority}")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        hint = "pip install 'd2f[stores]', and the package of that store, such as gcsfs or aiohttp"
        raise D2FError.of("D2F001", f"'{scheme}://': this scheme needs the package fsspec", hint) from None
    found, _ = url_to_fs(f"{scheme}://{authority}/")
    return fs.PyFileSystem(fs.FSSpecHandler(found))


def file_system(url: str) -> tuple[FileSystem, str]:
    """Return the file system of a URL and the path there. D2F001 where there is none for its scheme."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    try:
        system = _file_system(scheme.lower(), authority)
    except (OSError, ValueError, ImportError) as error:
        hint = "access, region and endpoint of S3 are taken from AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, …"
        raise D2FError.of("D2F001", f"{url!r} cannot be reached: {said(error)}", hint) from None
    if scheme.lower() in NATIVE:
        return system, rest[len(authority) - len(authority.rpartition("@")[2]) :]
    return system, system.handler.fs._strip_protocol(url)


def said(error: Exception) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__

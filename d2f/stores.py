"""Object stores by URL, ``scheme://…``: pyarrow's own file systems (S3, Google, Azure, HDFS), else those of fsspec."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

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

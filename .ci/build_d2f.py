"""setuptools' build backend; an editable install also leads type checkers to the packages.

An editable install of setuptools finds packages by an import hook, since `plugins/` and `chains/` lie beside `d2f/`.
Type checkers run no hook: they look through the folders of .pth files.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

NAME = "d2f_types.pth"


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build an editable wheel, and add the source's folders to it."""
    built: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    root = Path.cwd()
    add_file(Path(wheel_directory, built), NAME, f"{root}\n{root / 'plugins'}\n".encode())
    return built


def add_file(wheel: Path, name: str, data: bytes) -> None:
    """Add a file to a wheel and to its RECORD."""
    with zipfile.ZipFile(wheel) as archive:
        held = {one.filename: archive.read(one) for one in archive.infolist()}
    (record,) = (path for path in held if path.endswith(".dist-info/RECORD"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    held[record] = f"{name},sha256={digest},{len(data)}\n".encode() + held[record]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {name: data, **held}.items():
            archive.writestr(path, content)

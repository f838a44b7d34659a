"""Evidence readers: a file's bytes to statements."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from d2f.api.outcomes import Evidence
from d2f.testing.pictures import camera_picture
from d2f.testing.report import watched
from d2f.testing.subject import Failed, Subject, check, fail_if

DAMAGED = 60
"""Damaged copies of each file that are read."""


@check("findings are statements on one line", gate=True)
def stated(subject: Subject) -> str:
    """On ordinary files, with and without pixels: only Evidence, with finite ratios and texts that say something."""
    count = 0
    for name, data in _tagged_files():
        for given in (None, camera_picture(64, 64)):
            for item in _read_by(subject, f"{name} {'without' if given is None else 'with'} pixels", data, given):
                count += 1
                if not isinstance(item, Evidence):
                    raise Failed(f"on {name}: {item!r:.60} is no finding", "return d2f.Evidence(…) objects")
                texts = (item.kind, item.statement, item.source, item.trust)
                if not all(text.strip() and "\n" not in text for text in texts) or not math.isfinite(item.llr):
                    raise Failed(
                        f"on {name}: {item!r:.200}",
                        "give kind, statement, source and trust one line each, and a finite llr",
                    )
    return f"{count} findings in {len(list(_tagged_files()))} files"


@check("damaged files raise nothing")
def damaged(subject: Subject) -> str:
    """Empty, cut off, or with bytes changed: fewer findings, no exception."""
    random = np.random.default_rng(0)
    for name, data in (("an empty file", b""), ("noise", random.bytes(4096))):
        _read_by(subject, name, data, None)
    for name, data in _tagged_files():
        for _ in range(DAMAGED):
            copy = bytearray(data)
            for at in random.integers(0, min(len(data), 2048), 3):
                copy[at] = random.integers(0, 256)
            _read_by(subject, f"a damaged {name}", bytes(copy[: int(random.integers(1, len(copy)))]), None)
    return f"{DAMAGED * len(list(_tagged_files()))} damaged files"


@check("the same file has the same findings, without a network")
def repeated(subject: Subject) -> str:
    """Twice the same, of an array that may not be written to; no host is asked."""
    given = camera_picture(64, 64)
    given.flags.writeable = False
    with watched() as seen:
        for name, data in _tagged_files():
            if list(_read_by(subject, name, data, given)) != list(_read_by(subject, name, data, given)):
                raise Failed(f"on {name}: another answer the second time", "depend on the bytes and pixels alone")
    fail_if([f"it called {host}" for host in dict.fromkeys(seen.called)], "work from the file alone")
    return ""


def _tagged_files() -> Iterator[tuple[str, bytes]]:
    """Yield small files with EXIF in three formats."""
    from PIL import Image

    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0131] = "Maker", "Model", "Program 1.0"
    for name in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(camera_picture(64, 64)).save(file, name, exif=tags)
        yield f"{name} file", file.getvalue()


def _read_by(subject: Subject, name: str, data: bytes, pixels: Any) -> Any:
    try:
        return subject.instance.read(data, pixels)
    except Exception as error:
        raise subject.raised(f"on {name}", error, "read within bounds; leave out what cannot be read") from error

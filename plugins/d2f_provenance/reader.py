"""The stage: a file's bytes to evidence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from d2f import Evidence
from d2f_provenance.credentials import fetched_list, own_list
from d2f_provenance.evidence import FORGEABLE, count_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2f_provenance.credentials import CredentialReader


class ProvenanceOptions(BaseModel):
    """What the reading of provenance may be set to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trust_list: str | None = Field(
        default=None,
        exclude=True,  # what results depend on is what the file holds, which `weights` tells
        description="PEM file of root certificates to trust in place of the shipped lists; null: the shipped lists.",
    )
    invisible_marks: bool = Field(
        default=True,
        description="Whether the pixels are read for the marks of Stable Diffusion and FLUX.",
    )


class Provenance:
    """Reads what a file says about itself: Content Credentials, labels, generators' texts, camera, invisible marks.

    Parameters
    ----------
    options : ProvenanceOptions
    """

    name = "provenance"
    summary = "What the file says about itself: credentials, labels, generators' texts, camera, marks."
    Options = ProvenanceOptions
    thread_safe = True

    def __init__(self, options: ProvenanceOptions) -> None:
        self._options = options
        own = options.trust_list
        self._list = fetched_list() if own is None else own_list(own)
        self.weights = () if self._list is None else (self._list,)

    def load(self) -> None:
        """Read the trust lists.

        Raises
        ------
        D2FError
            D2F114 where the file that `trust_list` names cannot be read or holds no certificate; D2F502 to D2F505 where
            the fetched list is gone or was changed.
        """
        _ = self._credentials

    def read(self, data: bytes, pixels: NDArray[np.uint8] | None = None) -> tuple[Evidence, ...]:
        """Return what a file says about itself; nothing that a file holds makes this raise.

        Parameters
        ----------
        data : bytes
            The whole file.
        pixels : numpy.ndarray, shape (height, width, 3), uint8, optional
            The decoded picture, sRGB; None where it could not be decoded, and then no invisible mark is read.

        Returns
        -------
        tuple of Evidence
            Of every statement found. The sum of their `llr` is what they count together: the strongest in
            each direction counts, since statements of one file are not independent.
        """
        return count_once(self._evidence(data, pixels))

    def _evidence(self, data: bytes, pixels: NDArray[np.uint8] | None) -> Iterator[Evidence]:
        from d2f_provenance.camera import camera_evidence
        from d2f_provenance.containers import read_blocks
        from d2f_provenance.fields import read_exif, read_xmp
        from d2f_provenance.generators import generator_evidence, hidden_text_evidence
        from d2f_provenance.labels import label_evidence
        from d2f_provenance.marks import mark_evidence

        blocks = read_blocks(data)
        exif, xmp = read_exif(blocks), read_xmp(blocks)
        yield from self._credentials.read(data, blocks, xmp)
        texts = [*label_evidence(blocks, exif, xmp), *generator_evidence(blocks, exif, xmp)]
        texts += hidden_text_evidence(data, pixels)
        yield from texts
        if self._options.invisible_marks:
            yield from mark_evidence(pixels)
        camera = list(camera_evidence(exif, pixels))
        yield from camera
        if any(item.llr > 0 for item in texts) and any(item.kind == "camera" for item in camera):
            named = any(item.kind == "generator-text" for item in texts)
            label = "The file names a camera and has a label of AI generation."
            statement = "The file names both a camera and an image generator." if named else label
            yield Evidence("consistency", statement, "EXIF and text", FORGEABLE)

    @cached_property
    def _credentials(self) -> CredentialReader:
        from d2f_provenance.credentials import CredentialReader, trust_lists

        path = self._options.trust_list
        return CredentialReader(trust_lists(self._list)) if path is None else _by_own_list(path)


def _by_own_list(path: str) -> CredentialReader:
    """Return a reader that trusts the certificates of a user's file alone."""
    import ssl

    from d2f import D2FError
    from d2f_provenance.credentials import CredentialReader, TrustList

    try:
        anchors = Path(path).read_text("utf-8")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=anchors)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        message = f"the trust list {path!r} cannot be read: {error}; expected certificates in PEM form"
        raise D2FError.of("D2F114", message) from None
    return CredentialReader([TrustList(f"trust list {Path(path).name}", anchors)])

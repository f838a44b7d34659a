"""The weights: two files of the autoencoder's author, pinned, or a folder of the user's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f import D2FError, Problem, Weights, WeightsMissing
from d2f.weights import as_record, read_torch, read_weights, strict
from d2f_autoencoder import shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "taef2"
COMMIT = "5cccb12dc72074a4be35680c3b108548a7c69978"
"""Of madebyollin/taesd: the one that brought the two files."""

ENDINGS = (".safetensors", ".npz", ".pth")
"""What the files of a folder may end with; the first that is there is taken."""


def _record(part: str, sha256: str, size: int) -> Weights:
    file = f"{NAME}_{part}.pth"
    sources = (
        f"https://raw.githubusercontent.com/madebyollin/taesd/{COMMIT}/{file}",
        f"https://cdn.jsdelivr.net/gh/madebyollin/taesd@{COMMIT}/{file}",
    )
    description = f"Tiny autoencoder for the latents of FLUX.2, its {part}, by Ollin Boer Bohan."
    return Weights(f"{NAME}/{part}", sha256, "MIT", sources, description, size, untested=sources)


ENCODER = _record("encoder", "10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6", 2704692)
DECODER = _record("decoder", "0a44a31e1ae59eb9dbf9359d24942fd3ef5928162c1800d97a28c61d51be0ab5", 2704756)


def chosen(option: str) -> tuple[Weights, Weights]:
    """Return the records of encoder and decoder that the option `weights` names.

    Raises
    ------
    WeightsMissing
        D2F502: a folder lacks one of the two files.
    D2FError
        D2F501: neither the name nor a path.
    """
    if option == NAME:
        return ENCODER, DECODER
    if "/" not in option and os.sep not in option:
        notes = (f"known: {NAME}, or a path to a folder, such as ./{option}",)
        raise D2FError.of("D2F501", f"unknown weights '{option}'", *notes)
    return _in_folder(Path(option).expanduser(), "encoder"), _in_folder(Path(option).expanduser(), "decoder")


def read(weights: tuple[Weights, Weights]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the arrays of encoder and decoder, as PyTorch holds them.

    Raises
    ------
    WeightsMissing
        D2F502: they are not on this machine; the message names the one command that fetches both.
    D2FError
        D2F503 to D2F505: they are others than the pinned ones, damaged, or of another network.
    """
    encoder, decoder = weights
    try:
        return _arrays(encoder, shapes.encoder()), _arrays(decoder, shapes.decoder())
    except WeightsMissing as error:
        if encoder is not ENCODER:
            raise
        notes = (f"to fetch them: d2f weights pull {NAME}",)
        raise WeightsMissing(Problem("D2F502", f"weights '{NAME}' are not on this machine", notes=notes)) from error


def _arrays(record: Weights, expected: shapes.Shapes) -> dict[str, NDArray[Any]]:
    checkpoint = record.sources[0].endswith(".pth")
    arrays = read_torch(record) if checkpoint else read_weights(record).arrays
    strict(arrays, expected, record.name)
    return arrays


def _in_folder(folder: Path, part: str) -> Weights:
    paths = [folder / f"{NAME}_{part}{ending}" for ending in ENDINGS]
    return as_record(next((path for path in paths if path.is_file()), paths[-1]))

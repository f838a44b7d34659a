"""Where `d2f attack` puts what it makes of each file."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import D2FError, Exit, Problem
from d2f.images.files import STANDARD_INPUT, find_images, is_manifest

if TYPE_CHECKING:
    from d2f.api.errors import Problem
    from d2f.api.inputs import Pixels
    from d2f.engine.plan import Step


@dataclass(frozen=True, slots=True)
class Format:
    """One format: Pillow's name, the suffixes (the first is written), the encoder's settings."""

    pillow: str
    suffixes: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    lossless: bool = True


FORMATS: Mapping[str, Format] = {
    "png": Format("PNG", (".png",)),
    "webp": Format("WEBP", (".webp",), {"lossless": True}),
    "tiff": Format("TIFF", (".tif", ".tiff"), {"compression": "tiff_adobe_deflate"}),
    "bmp": Format("BMP", (".bmp",)),
    "jpeg": Format("JPEG", (".jpg", ".jpeg"), {"quality": 95, "subsampling": "4:4:4"}, lossless=False),
}
"""Every format, by the name that ``--format`` takes."""


def by_suffix(path: str) -> Format | None:
    """Return the format that a path's suffix names, None where it names none."""
    suffix = os.path.splitext(path)[1].lower()
    return next((format for format in FORMATS.values() if suffix in format.suffixes), None)


def write_image(pixels: Pixels, path: str, overwrite: bool) -> None:
    """Write pixels in the format of the path's suffix, without metadata; the file is whole or not there.

    `pixels` shape (height, width, 3), uint8.
    """
    format = by_suffix(path)
    assert format is not None  # targets have known suffixes
    if not overwrite and os.path.lexists(path):
        raise D2FError.of("D2F004", f"{path}: it is there already", "--overwrite replaces it", exit=Exit.SOME_FAILED)
    try:
        data = _encoded(pixels, format)
        os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
        _replace(path, data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise D2FError.of("D2F004", f"{path}: it cannot be written: {reason}", exit=Exit.SOME_FAILED) from error


def _encoded(pixels: Pixels, format: Format) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format.pillow, **format.settings)
    return stream.getvalue()


def _replace(path: str, data: bytes) -> None:
    # Written beside its place and moved there, so that nobody ever sees half an image.
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


@click.command()
@click.argument("spec")
@click.argument("paths", nargs=-1, required=True, metavar="IN... OUT")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), default="png", show_default=True, help="Of files in a folder."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
def attack(spec: str, paths: tuple[str, ...], name: str, overwrite: bool) -> int:
    """Lay preprocessors over images, pixel for pixel as a view of a chain would.

    SPEC joins steps by +, and a step's options by commas: wiener:window=7, wiener:7+noise:sigma=2,
    jpeg:60,subsampling=4:4:4. `d2f plugin list` shows every preprocessor and its options.

    IN is a file, a folder, a glob or a manifest. One file goes to the file OUT, in the format of its suffix; all
    else goes below the folder OUT, as it lay below IN. Metadata is dropped.
    """
    from d2f.api.errors import D2FError, Exit
    from d2f.cli.main import print_problems
    from d2f.engine.spec import parse_spec
    from d2f.plugins.catalog import Catalog

    *sources, out = paths
    if not sources:
        raise D2FError.of("D2F001", "OUT is missing", "usage: d2f attack SPEC IN... OUT")
    steps = parse_spec(spec, Catalog.discover())
    one = is_one_file(sources, out)
    pairs = iter([(sources[0], out)]) if one else targets(sources, out, FORMATS[name].suffixes[0])
    _load(steps)
    _warn_of_loss((by_suffix(out) if one else None) or FORMATS[name])
    written, problems = _lay_over(steps, pairs, overwrite)
    print_problems(problems)
    click.echo(f"{written} {'image' if written == 1 else 'images'} written to {out}", err=True)
    return Exit.SOME_FAILED if problems else Exit.OK


def _lay_over(steps: Sequence[Step], pairs: Iterator[tuple[str, str]], overwrite: bool) -> tuple[int, list[Problem]]:
    """Return how many images were written, and the problems of the others."""
    from d2f.api.errors import D2FError, Exit
    from d2f.engine.views import apply_steps
    from d2f.images.read import read_image

    made: dict[str, str] = {}
    problems: list[Problem] = []
    for path, target in pairs:
        try:
            if target in made:
                message = f"{path}: '{target}' was made of '{made[target]}'"
                raise D2FError.of("D2F004", message, "attack them into different folders", exit=Exit.SOME_FAILED)
            write_image(apply_steps(read_image(path), steps), target, overwrite)
            made[target] = path
        except D2FError as error:
            problems += error.problems
    return len(made), problems


def _load(steps: Sequence[Step]) -> None:
    from d2f.engine.loading import load_stages
    from d2f.engine.plan import Plan

    load_stages(Plan("attack", "", {"attack": tuple(steps)}, ()))


def _warn_of_loss(format: Format) -> None:
    from d2f.api.errors import Problem
    from d2f.cli.main import print_problems

    if not format.lossless:
        message = f"{format.pillow} does not keep pixels as they are: its encoder adds a laundering of its own"
        print_problems([Problem("D2F007", message, notes=("PNG keeps them",), severity="warning")])


UP = os.pardir + os.sep


def is_one_file(sources: Sequence[str], out: str) -> bool:
    """Whether one file goes to one file, told by the suffix of `out`; else `out` is a folder."""
    if len(sources) == 1 and not (os.path.exists(sources[0]) or sources[0] == STANDARD_INPUT):
        find_images(sources)
    if os.path.isdir(out) or out.endswith(os.sep):
        return False
    one = len(sources) == 1 and os.path.isfile(sources[0]) and not is_manifest(sources[0])
    suffix = os.path.splitext(out)[1]
    if one and suffix:
        if by_suffix(out) is None:
            known = ", ".join(suffix for format in FORMATS.values() for suffix in format.suffixes)
            note = f"known: {known}; a folder's name may end in {os.sep}"
            raise D2FError.of("D2F001", f"'{out}': files of type '{suffix}' are not written", note)
        return True
    if by_suffix(out) is not None:
        raise D2FError.of("D2F001", f"several images do not go into one file, '{out}'", "name a folder")
    if os.path.exists(out):
        raise D2FError.of("D2F004", f"'{out}' is a file, not a folder", "name a folder")
    return False


def targets(sources: Sequence[str], out: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Pair each image with the file that it becomes below a folder, lazily."""
    problems: list[Problem] = []
    found: list[tuple[str, Iterator[str]]] = []
    for source in sources:
        if os.path.isdir(source) and _same(source, out):
            note = "name another folder, which may lie inside"
            problems.append(Problem("D2F001", f"'{out}' is the folder that is read", notes=(note,)))
            continue
        try:
            found.append((_root(source), find_images([source])))
        except D2FError as error:
            problems += error.problems
    if problems:
        raise D2FError(problems)
    return _paired(found, out, suffix)


def _paired(found: list[tuple[str, Iterator[str]]], out: str, suffix: str) -> Iterator[tuple[str, str]]:
    for root, paths in found:
        inside = _below(out, root) is not None and not _same(out, root)
        for path in paths:
            if inside and _below(path, out) is not None:
                continue
            name = _below(path, root) or os.path.basename(path)
            yield path, os.path.join(out, os.path.splitext(name)[0] + suffix)


def _root(source: str) -> str:
    """Return the folder below which what `source` names keeps its place."""
    if source == STANDARD_INPUT:
        return os.curdir
    if os.path.isdir(source):
        return source
    if os.path.exists(source):
        return os.path.dirname(source) or os.curdir
    fixed = re.split(r"[*?\[]", source, maxsplit=1)[0]
    return os.path.dirname(fixed) or os.curdir


def _below(path: str, folder: str) -> str | None:
    """Return `path` as seen from `folder`, None where it does not lie below it."""
    try:
        relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    except ValueError:  # another drive
        return None
    return None if relative == os.pardir or relative.startswith(UP) else relative


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)

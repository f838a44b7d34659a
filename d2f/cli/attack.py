"""`d2f attack`: preprocessors applied to image files."""

from __future__ import annotations

import io
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import Pixels
from d2f.cli.main import print_problems
from d2f.files import cannot_write, explained, is_absent, require_new_file, write_whole
from d2f.images.files import STANDARD_INPUT, find_images, is_manifest
from d2f.images.walk import Listing

if TYPE_CHECKING:
    from d2f.engine.plan import Step


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """One format: Pillow's name, the suffixes (the first is written), the encoder's settings."""

    pillow: str
    suffixes: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    lossless: bool = True


FORMATS: Mapping[str, ImageFormat] = {
    "png": ImageFormat("PNG", (".png",)),
    "webp": ImageFormat("WEBP", (".webp",), {"lossless": True}),
    "tiff": ImageFormat("TIFF", (".tif", ".tiff"), {"compression": "tiff_adobe_deflate"}),
    "bmp": ImageFormat("BMP", (".bmp",)),
    "jpeg": ImageFormat("JPEG", (".jpg", ".jpeg"), {"quality": 95, "subsampling": "4:4:4"}, lossless=False),
}
"""Every format, by its name for ``--format``."""


@click.command()
@click.argument("spec")
@click.argument("paths", nargs=-1, required=True, metavar="IN... OUT")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), default="png", show_default=True, help="Of files in a folder."
)
@click.option("--all-files", is_flag=True, help="Take every file of a folder, whatever its ending.")
@click.option("--overwrite", is_flag=True, help="Replace files that already exist.")
def attack(spec: str, paths: tuple[str, ...], name: str, all_files: bool, overwrite: bool) -> int:
    """Apply preprocessors to images, pixel for pixel as a view of a chain would.

    SPEC joins steps by +, and a step's options by commas: wiener:window=7, wiener:7+noise:sigma=2,
    jpeg:60,subsampling=4:4:4. `d2f plugin list` shows every preprocessor and its options.

    IN is a file, a folder, a glob or a manifest. One file goes to the file OUT, in the format of its suffix; all
    else goes below the folder OUT, in the place that it has below IN. Files of one name with several endings keep the
    ending in their names. Metadata is dropped.
    """
    from d2f.engine.findings import load_stages
    from d2f.engine.plan import Plan
    from d2f.engine.spec import parse_spec
    from d2f.plugins.catalog import Catalog

    *sources, out = paths
    if not sources:
        raise D2FError.of("D2F001", "OUT is missing", "usage: d2f attack SPEC IN... OUT")
    steps = parse_spec(spec, Catalog.discover())
    listing = Listing(all_files, shared=True)
    one = _is_one_file(sources, out)
    pairs = [(sources[0], out)] if one else _pair_with_targets(sources, out, FORMATS[name].suffixes[0], listing)
    load_stages(Plan("attack", "", {"attack": steps}, ()))
    format = (_by_suffix(out) if one else None) or FORMATS[name]
    if not format.lossless:
        message = f"{format.pillow} does not preserve pixels: its encoder adds a laundering of its own"
        print_problems([Problem("D2F007", message, notes=("PNG preserves them",), severity="warning")])
    written, problems = _apply(steps, pairs, overwrite)
    print_problems(problems)
    for line in (*listing.lines(), f"{written} {'image' if written == 1 else 'images'} written to {out}"):
        click.echo(line, err=True)
    return Exit.SOME_FAILED if problems else Exit.OK


def _apply(steps: Sequence[Step], pairs: Iterable[tuple[str, str]], overwrite: bool) -> tuple[int, list[Problem]]:
    """Return how many images were written, and the problems of the others."""
    from d2f.engine.views import apply_steps
    from d2f.images.read import read_image

    made: dict[str, str] = {}
    problems: list[Problem] = []
    for path, target in pairs:
        try:
            if target in made:
                message = f"{path}: '{target}' was made of '{made[target]}'"
                raise D2FError.of("D2F004", message, "attack them into different folders")
            _write_image(apply_steps(read_image(path), steps), target, overwrite)
            made[target] = path
        except D2FError as error:
            problems += error.problems
    return len(made), problems


def _write_image(pixels: Pixels, path: str, overwrite: bool) -> None:
    """Write pixels in the format of the path's suffix, without metadata.

    `pixels` shape (height, width, 3), uint8.
    """
    from PIL import Image

    format = _by_suffix(path)
    assert format is not None  # targets have known suffixes
    require_new_file(path, overwrite, writable=False)
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, format.pillow, **format.settings)
    except (OSError, ValueError) as error:
        raise cannot_write(path, str(error)) from error
    with explained(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, stream.getvalue())


def _by_suffix(path: str) -> ImageFormat | None:
    """Return the format that a path's suffix names, None where it names none."""
    suffix = os.path.splitext(path)[1].lower()
    return next((format for format in FORMATS.values() if suffix in format.suffixes), None)


def _is_one_file(sources: Sequence[str], out: str) -> bool:
    """Whether one file goes to one file, by the suffix of `out`; else `out` is a folder."""
    if os.path.isdir(out) or out.endswith(os.sep):
        return False
    one = len(sources) == 1 and not os.path.isdir(sources[0]) and not is_absent(sources[0])
    one = one and not is_manifest(sources[0])
    suffix = os.path.splitext(out)[1]
    if one and suffix:
        if _by_suffix(out) is None:
            known = ", ".join(suffix for format in FORMATS.values() for suffix in format.suffixes)
            note = f"known: {known}; a folder's name may end in {os.sep}"
            raise D2FError.of("D2F001", f"'{out}': files of type '{suffix}' are not written", note)
        return True
    if len(sources) == 1 and sources[0] != STANDARD_INPUT:
        find_images(sources)  # what does not exist is the first thing to report
    if _by_suffix(out) is not None:
        raise D2FError.of("D2F001", f"several images do not go into one file, '{out}'", "name a folder")
    if os.path.exists(out):
        raise D2FError.of("D2F004", f"'{out}' is a file, not a folder", "name a folder")
    return False


def _pair_with_targets(sources: Sequence[str], out: str, suffix: str, listing: Listing) -> list[tuple[str, str]]:
    """Pair each image with the file that it becomes below a folder."""
    problems: list[Problem] = []
    found: list[tuple[str, Iterator[str]]] = []
    for source in sources:
        if os.path.isdir(source) and _same(source, out):
            note = "name another folder, which may lie inside"
            problems.append(Problem("D2F001", f"'{out}' is the folder that is read", notes=(note,)))
            continue
        try:
            found.append((_root_of_source(source), find_images([source], listing)))
        except D2FError as error:
            problems += error.problems
    if problems:
        raise D2FError(problems)
    named = list(_names_below(found, out))
    endings: dict[str, set[str]] = defaultdict(set)
    for _, name in named:
        endings[_stem(name).casefold()].add(name)

    def target(name: str) -> str:
        kept = name if len(endings[_stem(name).casefold()]) > 1 else _stem(name)
        return os.path.join(out, kept + suffix)

    return [(path, target(name)) for path, name in named]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _names_below(found: Sequence[tuple[str, Iterator[str]]], out: str) -> Iterator[tuple[str, str]]:
    """Yield each image and its name below the folder that it was named by; what lies in `out` is no source."""
    for root, paths in found:
        inside = _seen_from(out, root) is not None and not _same(out, root)
        for path in paths:
            if not inside or _seen_from(path, out) is None:
                yield path, _seen_from(path, root) or os.path.basename(path)


def _root_of_source(source: str) -> str:
    """Return the folder below which what `source` names keeps its place."""
    if source == STANDARD_INPUT:
        return os.curdir
    if os.path.isdir(source):
        return source
    if os.path.exists(source):
        return os.path.dirname(source) or os.curdir
    fixed = re.split(r"[*?\[]", source, maxsplit=1)[0]
    return os.path.dirname(fixed) or os.curdir


def _seen_from(path: str, folder: str) -> str | None:
    """Return `path` as seen from `folder`, None where it does not lie below it."""
    try:
        relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    except ValueError:  # another drive
        return None
    return None if relative == os.pardir or relative.startswith(os.pardir + os.sep) else relative


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)

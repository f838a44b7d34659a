"""Images that a source list names, brought to this machine: `d2f data fetch`.

A source list is a CSV with a row for each image as its author left it in a public repository: `repo` (owner/name),
`commit`, `path`, `sha256`, `label`, and what a manifest has besides (generator, source, collection, group, …). A file
is kept only with the listed digest; one that is gone or differs is reported, never replaced by another.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from urllib.parse import quote

from d2f.api.errors import D2FError, Place, Problem
from d2f.data.dataset import LABEL_WORDS, Dataset, Labelled, csv_text, labelled_path, write_manifest
from d2f.files import explained, file_sha256, write_whole
from d2f.weights.fetch import Attempt, Unfetched, fetch_https

ADDRESS = "https://raw.githubusercontent.com"
NEEDED = ("repo", "commit", "path", "sha256", "label")
SHAPES = {
    "repo": re.compile(r"[A-Za-z0-9][\w-]*/[\w.-]+"),
    "commit": re.compile(r"[0-9a-f]{7,64}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "path": re.compile(r"[^\0]+"),
}
KNOWN = ("generator", "source", "collection", "group")
LARGEST = 2**28
"""Bytes of a file whose row does not say how many it has."""

SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
MANIFEST, GONE = "manifest.csv", "gone.csv"


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One row of a source list."""

    row: Mapping[str, str]

    @property
    def name(self) -> str:
        """Where the image is, for people."""
        return f"{self.row['repo']}@{self.row['commit'][:12]}:{self.row['path']}"

    @property
    def limit(self) -> int:
        """The most bytes that are read of it."""
        return int(self.row["bytes"]) if self.row.get("bytes", "").isdecimal() else LARGEST

    def labelled(self, folder: Path) -> Labelled:
        """Return the image as the manifest has it, at its place in a folder; its name is its digest's."""
        suffix = PurePosixPath(self.row["path"]).suffix.lower()
        name = self.row["sha256"][:24] + (suffix if SUFFIX.fullmatch(suffix) else "")
        more = {key: value for key, value in self.row.items() if key not in (*KNOWN, "path", "label")}
        more["origin_path"] = self.row["path"]
        label = LABEL_WORDS[self.row["label"].lower()]
        generator, source, collection, group = (self.row.get(key, "") for key in KNOWN)
        bare = Labelled("", label, generator, source, collection, group, MappingProxyType(more))
        return replace(bare, path=str(folder / labelled_path(bare, name)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one row: fresh, there already, or gone with a reason."""

    source: ListedImage
    image: Labelled
    fresh: bool = False
    gone: str = ""


@dataclass(frozen=True)
class Fetched:
    """What `fetch_images` brought."""

    images: Dataset
    fresh: int
    gone: tuple[Outcome, ...]

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many images are missing for which reason."""
        said = [outcome.gone for outcome in self.gone]
        return {reason: said.count(reason) for reason in sorted(set(said))}


def read_sources(path: str) -> tuple[ListedImage, ...]:
    """Read a source list.

    Raises D2FError: D2F002 where there is no such file; D2F605 for a missing column or a value of the wrong form,
    D2F602 for an unknown label, each with its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise D2FError.of("D2F002", f"there is no file '{path}'") from error
    except (OSError, UnicodeDecodeError) as error:
        raise D2FError.of("D2F605", f"'{path}' cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in NEEDED if column not in (reader.fieldnames or ())]
    if missing:
        note = f"a source list has the columns {', '.join(NEEDED)} and those of a manifest"
        raise D2FError.of("D2F605", f"'{path}' has no column {', '.join(missing)}", note)
    rows = [(reader.line_num, {key: value or "" for key, value in row.items() if key}) for row in reader]
    if problems := [problem for line, row in rows for problem in _source_problems(path, line, row)]:
        raise D2FError(problems)
    return tuple(ListedImage(MappingProxyType(row)) for _, row in rows)


def _source_problems(path: str, line: int, row: Mapping[str, str]) -> Iterator[Problem]:
    place = Place(path, line, 1)
    for column, shape in SHAPES.items():
        if not shape.fullmatch(row[column]):
            yield Problem("D2F605", f"`{column}` is no {column}: '{row[column][:80]}'", place)
    if row["label"].lower() not in LABEL_WORDS:
        yield Problem("D2F602", f"unknown label '{row['label']}'", place, notes=("write `real` or `generated`",))


def fetch_images(
    sources: Sequence[ListedImage],
    folder: Path,
    mirror: Path | None = None,
    *,
    workers: int = 8,
    tick: Callable[[], None] | None = None,
) -> Fetched:
    """Bring the images of a source list into a folder and write its manifest.

    `folder` gets ``real/SOURCE/…``, ``generated/GENERATOR/SOURCE/…``, ``manifest.csv`` of what is there, and
    ``gone.csv`` of what is not; a file that is there with its digest is not fetched again. `mirror` is a folder of git
    directories ``OWNER+NAME/repo``; with it nothing is fetched over the network, and where the commit is not there,
    ``HEAD`` is asked. `workers` files are under way at once; `tick` is called after each row. Raises D2FError: D2F002
    where `mirror` is no folder, D2F004 where `folder` cannot be written.
    """
    if mirror is not None and not mirror.is_dir():
        raise D2FError.of("D2F002", f"there is no folder '{mirror}'")

    def one(source: ListedImage) -> Outcome:
        outcome = _one(source, folder, mirror)
        if tick is not None:
            tick()
        return outcome

    with explained(folder), ThreadPoolExecutor(workers) as pool:
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = list(pool.map(one, sources))
    there = tuple(outcome.image for outcome in outcomes if not outcome.gone)
    gone = tuple(outcome for outcome in outcomes if outcome.gone)
    images = Dataset(there, str(folder))
    write_manifest(folder / MANIFEST, images)
    columns = ("repo", "commit", "path", "sha256")
    rows = [[*(outcome.source.row[column] for column in columns), outcome.gone] for outcome in gone]
    write_whole(folder / GONE, csv_text([[*columns, "why"], *rows]))
    return Fetched(images, sum(outcome.fresh for outcome in outcomes), gone)


def _one(source: ListedImage, folder: Path, mirror: Path | None) -> Outcome:
    image = source.labelled(folder)
    place = Path(image.path)
    if place.is_file() and file_sha256(place) == source.row["sha256"]:
        return Outcome(source, image)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        data = _from_mirror(source, mirror) if mirror is not None else _over_https(source, place)
    except Unfetched as error:
        return Outcome(source, image, gone=str(error))
    write_whole(place, data)
    return Outcome(source, image, fresh=True)


def _over_https(source: ListedImage, place: Path) -> bytes:
    address = "/".join((ADDRESS, source.row["repo"], source.row["commit"], quote(source.row["path"])))
    part = place.with_name(f"{place.name}.part")
    try:
        fetch_https(address, Attempt(part, source.limit))
        data = part.read_bytes()
    finally:
        part.unlink(missing_ok=True)
    if hashlib.sha256(data).hexdigest() != source.row["sha256"]:
        raise Unfetched("the file there has another digest")
    return data


def _from_mirror(source: ListedImage, mirror: Path) -> bytes:
    directory = mirror / source.row["repo"].replace("/", "+") / "repo"
    if not directory.is_dir():
        raise Unfetched("its repository is not in the mirror")
    held = False
    for revision in (source.row["commit"], "HEAD"):
        command = ["git", f"--git-dir={directory}", "cat-file", "blob", f"{revision}:{source.row['path']}"]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise D2FError.of("D2F002", "`git` was not found", "a mirror is read by git: install it") from error
        held = held or done.returncode == 0
        if done.returncode == 0 and hashlib.sha256(done.stdout).hexdigest() == source.row["sha256"]:
            return done.stdout
    raise Unfetched("the file there has another digest" if held else "its repository no longer has it")

"""A seeded corpus of files made to break a reader: mutants of real files of every format, and made ones.

    python -m tests.hostile FOLDER --count 20000 --seed 1

Mutant N of a seed is the same on every machine that encodes the originals alike, and does not depend on the count.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

SEEDS = Path(__file__).resolve().parents[1] / "docs" / "tutorial" / "images"
Dice = random.Random
Mutation = Callable[[bytes, Dice], bytes]


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, format, **options)  # an encoder leaves its settings in the image
    return stream.getvalue()


@cache
def originals() -> dict[str, bytes]:
    """Return a sound file of each format, in its usual kinds, by name with ending; real pictures, small."""
    import pillow_heif

    photo = Image.open(SEEDS / "camera-like.jpg").convert("RGB").resize((72, 56))
    other = Image.open(SEEDS / "upsampled.jpg").convert("RGB").resize((72, 56))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    icc = _profile()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF/></x:xmpmeta>"
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    moving = {"save_all": True, "append_images": [other, photo.copy()], "duration": 40}
    heif = io.BytesIO()
    pillow_heif.from_pillow(photo).save(heif, quality=60)
    return {
        "baseline.jpg": _saved(photo, "JPEG", quality=85, exif=exif, icc_profile=icc, xmp=xmp),
        "progressive.jpg": _saved(photo, "JPEG", progressive=True),
        "restarts.jpg": _saved(photo, "JPEG", restart_marker_rows=1, subsampling=0),
        "grey.jpg": _saved(photo.convert("L"), "JPEG"),
        "cmyk.jpg": _saved(photo.convert("CMYK"), "JPEG"),
        "mpo.mpo": _saved(photo, "MPO", save_all=True, append_images=[other.copy()]),
        "rgb.png": _saved(photo, "PNG", exif=exif, icc_profile=icc),
        "alpha.png": _saved(photo.convert("RGBA"), "PNG"),
        "palette.png": _saved(photo.quantize(64), "PNG", transparency=3),
        "sixteen.png": _saved(deep, "PNG"),
        "bits.png": _saved(photo.convert("1"), "PNG"),
        "moving.png": _saved(photo, "PNG", **moving),
        "lossy.webp": _saved(photo, "WEBP", exif=exif, icc_profile=icc, xmp=xmp),
        "lossless.webp": _saved(photo.convert("RGBA"), "WEBP", lossless=True),
        "moving.webp": _saved(photo, "WEBP", **moving),
        "plain.tif": _saved(photo, "TIFF", exif=exif),
        "lzw.tif": _saved(photo, "TIFF", compression="tiff_lzw"),
        "deflate.tif": _saved(photo, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": _saved(photo, "TIFF", compression="jpeg"),
        "fax.tif": _saved(photo.convert("1"), "TIFF", compression="group4"),
        "deep.tif": _saved(deep, "TIFF"),
        "pages.tif": _saved(photo, "TIFF", save_all=True, append_images=[other.copy()]),
        "big.tif": _saved(photo, "TIFF", big_tiff=True),
        "still.gif": _saved(photo, "GIF"),
        "moving.gif": _saved(photo, "GIF", **moving),
        "rgb.bmp": _saved(photo, "BMP"),
        "palette.bmp": _saved(photo.quantize(16), "BMP"),
        "photo.avif": _saved(photo, "AVIF", exif=exif),
        "photo.heic": heif.getvalue(),
        "one.png": _saved(photo.resize((1, 1)), "PNG"),
        "line.jpg": _saved(photo.resize((1, 300)), "JPEG"),
    }


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def boundaries(data: bytes) -> list[int]:
    """Return where parts of a file begin: markers, chunks, boxes, directories, blocks."""
    if data.startswith(b"\xff\xd8"):
        return [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF)]
    if data.startswith(b"\x89PNG"):
        return _parts(data, 8, ">I", 0, 12)
    if data.startswith(b"RIFF"):
        return _parts(data, 12, "<I", 4, 8)
    if data[4:8] == b"ftyp":
        return [*_parts(data, 0, ">I", 0, 0), *(at - 4 for at in _found(data, (b"iloc", b"ispe", b"iprp", b"iinf")))]
    if data[:2] in (b"II", b"MM"):
        order = "<" if data[:2] == b"II" else ">"
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        return [4, *(at for at in (first + 2 + 12 * entry for entry in range(24)) if at < len(data))]
    if data.startswith(b"GIF"):
        return [6, 10, 13, *_found(data, (b"\x21\xf9", b"\x2c", b"\x21\xff"))]
    return [at for at in (2, 10, 14, 18, 22, 26, 28, 30, 34, 54) if at < len(data)]


def _parts(data: bytes, start: int, form: str, place: int, more: int) -> list[int]:
    found = []
    while start + place + 4 <= len(data) and len(found) < 400:
        found.append(start)
        (size,) = struct.unpack_from(form, data, start + place)
        start += max(8, size + more + (size & 1 if form == "<I" else 0))
    return found


def _found(data: bytes, signs: tuple[bytes, ...]) -> list[int]:
    places = []
    for sign in signs:
        at = data.find(sign)
        while at > 0 and len(places) < 400:
            places.append(at)
            at = data.find(sign, at + 1)
    return places


def _at(data: bytes, dice: Dice) -> int:
    places = boundaries(data)
    return max(0, min(len(data) - 1, dice.choice(places or [0]) + dice.choice((0, 0, 1, 2, 4, 8, -1))))


def cut_at_boundary(data: bytes, dice: Dice) -> bytes:
    """Break off where a part begins, or a little beside."""
    return data[: _at(data, dice)]


def cut_anywhere(data: bytes, dice: Dice) -> bytes:
    """Break off anywhere."""
    return data[: dice.randrange(len(data))]


def flip_bits(data: bytes, dice: Dice) -> bytes:
    """Turn some bits, anywhere or in the first bytes."""
    changed, most = bytearray(data), dice.choice((64, 512, len(data)))
    for _ in range(dice.choice((1, 2, 8, 40))):
        changed[dice.randrange(min(most, len(data)))] ^= 1 << dice.randrange(8)
    return bytes(changed)


NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 30_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000)


def lie_about_size(data: bytes, dice: Dice) -> bytes:
    """Write an extreme number where a part states its size, count or offset."""
    changed, at = bytearray(data), _at(data, dice)
    form = dice.choice(("<H", ">H", "<I", ">I"))
    number = dice.choice(NUMBERS) & (0xFFFF if "H" in form else 0xFFFFFFFF)
    packed = struct.pack(form, number)
    changed[at : at + len(packed)] = packed
    return bytes(changed)


def claim_dimensions(data: bytes, dice: Dice) -> bytes:
    """State another width and height: huge, 30,000 a side, zero, or one."""
    sides = dice.choice(((30_000, 30_000), (65_535, 65_535), (0, 0), (1, 1), (65_500, 1), (2**31 - 1, 2**31 - 1)))
    width, height = sides
    changed = bytearray(data)
    if data.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(bytes(changed[12:29])))
    elif data.startswith(b"\xff\xd8"):
        for at in boundaries(data):
            if data[at + 1] in (0xC0, 0xC1, 0xC2) and at + 9 <= len(data):
                changed[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    elif data.startswith(b"GIF"):
        changed[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    elif data.startswith(b"BM"):
        changed[18:26] = struct.pack("<ii", width, height)
    elif data[4:8] == b"ftyp":
        for at in _found(data, (b"ispe",)):
            changed[at + 8 : at + 16] = struct.pack(">II", width, height)
    elif data.startswith(b"RIFF") and data[12:16] == b"VP8X":
        changed[24:30] = struct.pack("<I", width & 0xFFFFFF)[:3] + struct.pack("<I", height & 0xFFFFFF)[:3]
    elif data[:2] == b"II":
        for at in boundaries(data):
            tag = int.from_bytes(data[at : at + 2], "little")
            if tag in (256, 257):
                changed[at + 8 : at + 12] = struct.pack("<I", width if tag == 256 else height)
    return bytes(changed)


def repeat_part(data: bytes, dice: Dice) -> bytes:
    """Write a part many times."""
    start = _at(data, dice)
    end = min(len(data), start + dice.choice((16, 200, 2000)))
    return data[:end] + data[start:end] * dice.choice((1, 50, 1000)) + data[end:]


def drop_part(data: bytes, dice: Dice) -> bytes:
    """Leave out a part."""
    start, end = sorted((_at(data, dice), _at(data, dice)))
    return data[:start] + data[end:]


def swap_parts(data: bytes, dice: Dice) -> bytes:
    """Exchange two parts."""
    one, two, three = sorted(_at(data, dice) for _ in range(3))
    return data[:one] + data[two:three] + data[one:two] + data[three:]


def splice(data: bytes, dice: Dice) -> bytes:
    """Go on with another format's file."""
    other = dice.choice(list(originals().values()))
    return data[: _at(data, dice)] + other[_at(other, dice) :]


def wrong_header(data: bytes, dice: Dice) -> bytes:
    """Begin as another format does."""
    other = dice.choice(list(originals().values()))
    length = dice.choice((2, 4, 8, 12, 32))
    return other[:length] + data[length:]


def polyglot(data: bytes, dice: Dice) -> bytes:
    """Be another thing, too: a zip, a page, a script, a document, an image behind an image."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.png", b"x" * 100)
    behind = dice.choice(
        (stream.getvalue(), b"<html><script>1</script>", b"\n%PDF-1.7\n", dice.choice(list(originals().values())))
    )
    return data + behind if dice.random() < 0.7 else behind + data


def _png(chunks: list[tuple[bytes, bytes]], width: int = 8, height: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * 3 * width) * height)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + made


def bomb(data: bytes, dice: Dice) -> bytes:
    """Hold little that claims, or grows into, very much."""
    zeros = zlib.compress(bytes(dice.choice((2**20, 2**24, 2**26))), 9)
    kind = dice.randrange(5)
    if kind == 0:
        return _png([(b"zTXt", b"Comment\0\0" + zeros)])
    if kind == 1:
        return _png([(b"iCCP", b"p\0\0" + zeros)])
    if kind == 2:
        return _png([(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros)])
    if kind == 3:  # pixels
        side = dice.choice((2_000, 12_000, 30_000))
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        parts = ((b"IHDR", header), (b"IDAT", zeros), (b"IEND", b""))
        made = b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in parts
        )
        return b"\x89PNG\r\n\x1a\n" + made
    head = b"GIF89a" + struct.pack("<HHBBB", 4000, 4000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 4000, 4000, 0) + b"\x02\x02\x4c\x01\0"
    return head + frame * dice.choice((10, 1000, 20_000)) + b";"


def directories(data: bytes, dice: Dice) -> bytes:
    """Chain directories of a TIFF: thousands, in a circle, nested, or with a count that lies."""
    kind = dice.randrange(4)
    count = dice.choice((100, 5_000))
    entry = struct.pack("<HHII", 256, 3, 1, 8)
    if kind == 0:
        body = b"".join(
            struct.pack("<H", 1) + entry + struct.pack("<I", 8 + 18 * (number + 1)) for number in range(count)
        )
        return b"II*\0" + struct.pack("<I", 8) + body
    if kind == 1:
        return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    if kind == 2:  # each directory holds the next as its own sub-directory, and as its EXIF
        body = b""
        for number in range(count):
            next_one = 8 + 30 * (number + 1)
            body += struct.pack("<H", 2) + struct.pack("<HHII", 330, 4, 1, next_one)
            body += struct.pack("<HHII", 0x8769, 4, 1, next_one) + struct.pack("<I", 0)
        return b"II*\0" + struct.pack("<I", 8) + body
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0xFFFF) + entry * dice.choice((10, 20_000))


def giant_metadata(data: bytes, dice: Dice) -> bytes:
    """Hold far more metadata than picture, sound or torn."""
    jpeg = originals()["baseline.jpg"]
    kind = dice.randrange(4)
    if kind == 0:  # a profile in as many parts as there can be
        parts = (b"ICC_PROFILE\0" + bytes((number, 255)) + bytes(65_000) for number in range(1, dice.choice((3, 60))))
        added = b"".join(b"\xff\xe2" + struct.pack(">H", len(part) + 2) + part for part in parts)
    elif kind == 1:
        text = b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * dice.choice((10, 20_000))
        added = b"\xff\xe1" + struct.pack(">H", (len(text) + 2) & 0xFFFF) + text
    elif kind == 2:
        exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 5000)
        exif += struct.pack("<HHII", 0x010F, 2, 0xFFFFFFFF, 8) * 5000
        added = b"\xff\xe1" + struct.pack(">H", 0xFFFF) + exif[:65_533]
    else:
        added = b"\xff\xfe" + struct.pack(">H", 0xFFFF) + bytes(65_533)
        added *= dice.choice((1, 30))
    return jpeg[:2] + added + jpeg[2:]


MUTATIONS: dict[str, tuple[Mutation, int]] = {
    "cut at a boundary": (cut_at_boundary, 20),
    "cut anywhere": (cut_anywhere, 8),
    "bits flipped": (flip_bits, 20),
    "size that lies": (lie_about_size, 20),
    "dimensions": (claim_dimensions, 10),
    "part repeated": (repeat_part, 4),
    "part dropped": (drop_part, 5),
    "parts swapped": (swap_parts, 5),
    "spliced": (splice, 4),
    "wrong header": (wrong_header, 4),
    "polyglot": (polyglot, 3),
    "bomb": (bomb, 1),
    "directories": (directories, 1),
    "giant metadata": (giant_metadata, 1),
}
"""Each kind of mutation, and how often it is drawn, in parts of about a hundred."""


def mutant(seed: int, number: int) -> tuple[str, bytes]:
    """Return name and bytes of one mutant."""
    dice = Dice(f"{seed}/{number}")
    kinds = list(MUTATIONS)
    name, data = dice.choice(list(originals().items()))
    made = data
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        kind = dice.choices(kinds, [weight for _, weight in MUTATIONS.values()])[0]
        with suppress(struct.error, IndexError, ValueError):  # too little is left to be changed in this way
            made = MUTATIONS[kind][0](made or data, dice)
    return f"{number:05}-{kind.replace(' ', '-')}-{name}", made


def strange_files(folder: Path) -> Iterator[str]:
    """Make what is no regular image: pipes, sockets, devices, loops, odd names, holes; yield the names made."""
    sound = originals()["rgb.png"]
    for name in ("two\nlines.png", "tab\tand\x1b[31mred.png", "-o.png", " blank .png", "x" * 240 + ".png", "*?[a].png"):
        (folder / name).write_bytes(sound)
        yield name
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/not-utf-8-\xff\xe9.png"))
    with suppress(OSError):  # macOS refuses such a name
        odd.write_bytes(sound)
        yield odd.name
    os.mkfifo(folder / "pipe.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "nothing.png").symlink_to("nowhere.png")
    (folder / "loop").symlink_to(".")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder)
        made.bind("socket.png")
        os.chdir(here)
    (folder / "empty.png").touch()
    with (folder / "hole.png").open("wb") as file:
        file.truncate(2**40)
    yield from ("pipe.png", "circle.png", "device.png", "nothing.png", "socket.png", "empty.png", "hole.png")


def write_corpus(folder: Path, count: int, seed: int = 1, first: int = 0) -> int:
    """Write so many mutants, in subfolders of a thousand, and the strange files; return how many rows are due."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    for number in range(first, first + count):
        name, data = mutant(seed, number)
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return count + len(list(strange_files(folder)))


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(write_corpus(given.folder, given.count, given.seed), "files")


if __name__ == "__main__":
    main()

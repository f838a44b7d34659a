"""Damaged and hostile files: fewer findings, never an exception, within bounds."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from d2f_provenance.containers import BLOCKS, BYTES, TEXT_BYTES, read_blocks
from d2f_provenance.fields import XMP_BYTES, read_exif, read_iim, read_xmp
from d2f_provenance.generators import hidden_text_evidence
from d2f_provenance.tiff import read_directories
from PIL import Image

from tests.plugins.provenance_files import (
    GENERATED,
    PARAMETERS,
    STAGE,
    chunk,
    encoded,
    exif_of,
    jpeg,
    jpeg_xmp,
    png,
    read,
    riff,
    segment,
    text,
    webp,
    xmp,
)

LABEL = xmp(f'ext:DigitalSourceType="{GENERATED}"')
EXIF = exif_of({0x010F: "Canon", 0x0110: "EOS", 0x0131: "1.0"}, {0x9286: b"UNICODE\0" + PARAMETERS.encode("utf-16-be")})
IIM = segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0\0\0\0\x18\x1c\2\x6e\0\x13Made with Google AI")

WHOLE = [
    jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + LABEL), IIM),
    EXIF,
    png(
        text("parameters", PARAMETERS),
        chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b'{"1": {"class_type": "KSampler"}}')),
    ),
    png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LABEL)), image=Image.new("RGBA", (40, 40))),
    webp(riff(b"XMP ", LABEL)),
    encoded("TIFF", tiffinfo={700: LABEL, 305: "Fooocus v2"}),
    encoded("AVIF", xmp=LABEL),
    encoded("GIF")[:-1] + b"\x21\xff\x0bXMP DataXMP" + LABEL + b"\1" + bytes(range(255, -1, -1)) + b"\0;",
]


def mutants(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield copies with bytes changed, numbers made large, parts cut out, doubled, or the end cut off."""
    random = np.random.default_rng(seed)
    reach = min(len(data), 4096)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(random.integers(1, 4)):
            at, kind = int(random.integers(0, reach)), random.integers(0, 5)
            if kind == 0:
                copy[at : at + 1] = bytes([random.integers(0, 256)])
            elif kind == 1:
                copy[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"][
                    random.integers(0, 4)
                ]
            elif kind == 2:
                del copy[at : at + int(random.integers(1, 40))]
            elif kind == 3:
                copy[at:at] = copy[at : at + int(random.integers(1, 200))]
            else:
                del copy[at:]
        yield bytes(copy)


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_mutants(at: int) -> None:
    assert read(WHOLE[at])
    shown = np.zeros((40, 40, 3), np.uint8)
    for mutant in mutants(WHOLE[at], 1500, seed=at):
        for item in STAGE.read(mutant, shown):
            assert item.statement.endswith(".")
            assert np.isfinite(item.llr)


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_mutants_of_real_files() -> None:
    folder = Path(os.environ["D2F_DATA"]).parent / "provenance" / "files"
    if not folder.is_dir():
        pytest.skip("the provenance files are not beside the data")
    for at, path in enumerate(
        sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png", ".webp", ".heic", ".avif"))
    ):
        if path.stat().st_size < 50_000:
            for mutant in mutants(path.read_bytes(), 15, seed=at):
                STAGE.read(mutant, None)


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_every_length_of_the_beginning(at: int) -> None:
    data = WHOLE[at]
    for length in range(min(len(data), 1200)):
        STAGE.read(data[:length], None)


# Bounds


def test_compressed_text_expands_to_a_bound() -> None:
    bomb = zlib.compress(bytes(64 * 2**20))
    blocks = read_blocks(png(chunk(b"zTXt", b"parameters\0\0" + bomb), chunk(b"iTXt", b"prompt\0\1\0\0\0" + bomb)))
    assert [len(block.data) for block in blocks] == [TEXT_BYTES] * 2


def test_blocks_are_bounded_in_number_and_together() -> None:
    assert len(read_blocks(png(*[text("a", "b")] * (BLOCKS + 10)))) == BLOCKS
    many = read_blocks(png(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(TEXT_BYTES)))] * 20))
    assert sum(len(block.data) for block in many) <= BYTES


def test_a_large_tiff_is_no_large_block() -> None:
    data = encoded("TIFF", Image.new("L", (6000, 6000)), tiffinfo={700: LABEL})
    assert len(data) > BYTES
    assert [item.kind for item in read(data)] == ["iptc"]


def test_long_runs_of_nothing() -> None:
    assert read_blocks(b"\xff\xd8" + b"\xff" * 2**22) == []
    assert read_blocks(b"\x89PNG\r\n\x1a\n" + chunk(b"aaAa", b"") * 2**18) == []
    assert read_blocks(b"GIF89a" + bytes(7) + b"\x21\xfe" + b"\1a" * 2**20) == []
    assert read_blocks(b"RIFF\xff\xff\xff\xffWEBP" + riff(b"JUNK", b"") * 2**16) == []
    assert read_blocks(b"\0\0\0\x10ftypheic\0\0\0\0" + b"\0\0\0\x08free" * 2**16) == []


def test_entities_are_not_expanded_and_nothing_is_loaded() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>' + LABEL.replace(
        GENERATED.encode(), b"&b;"
    )
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + LABEL.replace(GENERATED.encode(), b"&a;")
    assert read(jpeg_xmp(laughs)) == []
    assert read(jpeg_xmp(outside)) == []


def test_xml_that_is_deep_long_or_none() -> None:
    deep = b"<a>" * 20_000 + b"</a>" * 20_000
    for packet in (
        deep,
        b"<",
        b"\xff\xfe<\0a\0",
        b"<?xml version='1.0' encoding='none'?><a/>",
        LABEL.replace(b"<rdf:RDF", b"<!--" + b" " * XMP_BYTES + b"--><rdf:RDF"),
    ):
        blocks = read_blocks(png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)))
        assert [item.properties for item in read_xmp(blocks)] == []
    nested = xmp(elements="<dc:x>" * 20_000 + "</dc:x>" * 20_000)
    assert read(jpeg_xmp(nested[:60_000])) == []
    assert read(webp(riff(b"XMP ", nested))) == []


def test_json_that_is_deep() -> None:
    assert read(png(text("prompt", '{"a":' * 50_000 + "}" * 50_000))) == []


def test_directories_that_point_to_themselves() -> None:
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    assert len(read_directories(b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8))) == 2
    endless = b"II*\0" + struct.pack("<IH", 8, 65535) + entry * 2000
    assert read_directories(endless)[0] == {0x8769: 8}


def test_values_beyond_the_file_or_the_bound_are_left_out() -> None:
    entries = [
        struct.pack("<HHII", 0x010F, 2, 2**31, 8),
        struct.pack("<HHII", 0x0110, 2, 100, 2**32 - 1),
        struct.pack("<HHII", 0x0131, 99, 4, 0),
    ]
    data = b"II*\0" + struct.pack("<IH", 8, 3) + b"".join(entries) + bytes(4)
    assert read_directories(data) == [{}]


def test_item_tables_that_claim_too_much() -> None:
    iloc = b"\0\0\0\0\x44\0\xff\xff" + b"\0\1\0\0\xff\xff" + b"\0\0\0\1\xff\xff\xff\xff" * 8
    infe = b"\2\0\0\0\0\1\0\0Exif\0"
    box = lambda name, body: struct.pack(">I", len(body) + 8) + name + body  # noqa: E731
    meta = box(b"meta", bytes(4) + box(b"iinf", b"\0\0\0\0\xff\xff" + box(b"infe", infe)) + box(b"iloc", iloc))
    blocks = read_blocks(box(b"ftyp", b"avif\0\0\0\0") + meta)
    assert [block.kind for block in blocks] == ["exif"]
    assert read_exif(blocks) == []


def test_resources_and_datasets_that_run_over() -> None:
    for body in (b"8BIM\4\4\0\0\xff\xff\xff\xff", b"8BIM\4\4\xff", b"8BIM", b"8BIM\4\4\0\0\0\0\0\5\x1c\2\x6e\xff\xff"):
        assert read_iim(read_blocks(jpeg(segment(0xED, b"Photoshop 3.0\0" + body)))) == []


def test_a_png_whose_pixels_are_damaged_hides_nothing() -> None:
    data = bytearray(encoded("PNG", Image.new("RGBA", (40, 40))))
    at = data.index(b"IDAT")
    data[at + 8 : at + 20] = bytes(12)
    assert list(hidden_text_evidence(bytes(data), np.zeros((40, 40, 3), np.uint8))) == []

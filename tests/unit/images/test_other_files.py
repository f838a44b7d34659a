"""Files that are no image: the error says what the first bytes say they are, and what to do."""

from __future__ import annotations

import pytest

from d2f.images.formats import sniff, what_it_is

OTHERS = [
    (b"PK\x03\x04" + bytes(30), "a zip archive (or an office document)", "unpack it first"),
    (b"\x1f\x8b\x08" + bytes(30), "a gzip archive", "unpack it first"),
    (b"%PDF-1.7\n", "a PDF document", "export the picture from it"),
    (b"\xff\x0a" + bytes(30), "a JPEG XL picture", "convert it to PNG or TIFF"),
    (b"8BPS\0\1" + bytes(30), "a Photoshop document", "export the picture from it"),
    (bytes(4) + b"ftypmp42" + bytes(30), "a film (MP4)", "take a frame from it"),
    (bytes(128) + b"DICM" + bytes(30), "a DICOM picture", "export the picture from it"),
    (b"\xef\xbb\xbf<!DOCTYPE html><html>", "an HTML page", "save the picture itself"),
    (b"<?xml version='1.0'?>\n<svg/>", "an SVG drawing", "made of pixels"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS", "git lfs pull"),
    (b"data:image/png;base64,iVBORw0KGgo", "an image in base64", "decode it first"),
    (b"/9j/4AAQSkZJRgABAQ", "an image in base64", "decode it first"),
    (b'{"error": "not found"}', "text", ""),
    (bytes(3000), "nothing but 0x00 bytes, as broken downloads and cards leave", "fetch it again"),
    (b"\0\5\x16\7\0\2\0\0Mac OS X", "a Mac's companion file (AppleDouble)", "without '._'"),
    (b"\x89PNG\n\x1a\n" + bytes(30), "a PNG whose line ends were changed, as a transfer of text does", "as binary"),
    (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff\xe0" + bytes(30), "other bytes with an image from byte 19 on", "cut off"),
    (b"ID3\4\0" + bytes(30), "a sound (MP3)", ""),
    (b"{\\rtf1\\ansi", "a text document (RTF)", "export the picture from it"),
]


@pytest.mark.parametrize(("data", "what", "todo"), OTHERS, ids=[what for _, what, _ in OTHERS])
def test_what_is_no_image_is_named(data: bytes, what: str, todo: str) -> None:
    assert sniff(data) is None
    said = what_it_is(data)
    assert said.startswith(f"{what}, not an image in a format that d2f reads")
    assert todo in said

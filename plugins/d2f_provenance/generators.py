"""Texts that image generators write: PNG texts, EXIF fields and the text in the lowest bits of the pixels.

A text counts by its form in its own field. A caption that talks of generators, or a field of another program with
the same name, does not have that form.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from d2f import Evidence
from d2f_provenance.containers import TEXT_BYTES, Block, png_chunks
from d2f_provenance.evidence import FORGEABLE, FORGEABLE_GENERATED, bounded, in_line
from d2f_provenance.fields import (
    ARTIST,
    IMAGE_DESCRIPTION,
    MAKE,
    MODEL,
    SOFTWARE,
    XMP_BASIC,
    Exif,
    Xmp,
    as_object,
    decoded,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PAIR = r"\w[^,:\n]*: (?:\"(?:[^\"\\\n]|\\.)*\"|[\[{].*$|(?![\[{\"])[^,\n]*)"  # matches in one way at most
_WEB_UI = re.compile(
    # The last line, after which an extension puts its templates.
    rf"^Steps: \d+, (?=.*(?:Sampler|CFG scale|Seed): ){_PAIR}(?:, {_PAIR})*,?\s*(?:\Z|^(?:Negative )?Template: )",
    re.MULTILINE,
)
_DREAM = re.compile(r"\".*\" .*-s ?\d+ .*-S ?\d+ .*-W ?\d+ -H ?\d+ ", re.DOTALL)
_MIDJOURNEY = re.compile(rf"\s--[a-z]+ .*\bJob ID: {_UUID}\s*$", re.DOTALL)
_XAI = re.compile(r"Signature: [A-Za-z0-9+/]{80,4000}={0,2}")
_PROGRAM = re.compile(
    r"AI generated(?:;[\w .-]+)+|Fooocus v\d[\w.+-]*"
    r"|(?:NovelAI|InvokeAI|ComfyUI|Midjourney|Stable Diffusion|DALL[-·]E|Adobe Firefly)(?:[ /]v?\d[\w.+-]*)?"
)
"""The whole of a field: a name, and a version at most."""
_FLUX_MAKER = "Black Forest Labs"
_GRAPHS = ("workflow:", "prompt:")
_TEXT_CHARACTERS = 2**16  # searched by the patterns above; prompts are shorter


def generator_evidence(blocks: Sequence[Block], exif: Sequence[Exif], xmp: Sequence[Xmp]) -> Iterator[Evidence]:
    """Yield what PNG texts, EXIF and XMP hold that image generators write."""
    for block in blocks:
        if block.kind == "text":
            yield from _png(block.key, decoded(block.data), f"{block.source} {block.key}")
    for each in exif:
        yield from _exif(each)
    for packet in xmp:
        if _PROGRAM.fullmatch(tool := packet.get(XMP_BASIC, "CreatorTool")):
            yield _by_name(tool, f"{packet.source} XMP CreatorTool")


def _found(maker: str, source: str, raw: str, what: str = "generation parameters") -> Evidence:
    return Evidence(
        "generator-text",
        f"The file holds {what} as {maker} writes them.",
        source,
        FORGEABLE,
        FORGEABLE_GENERATED,
        bounded(raw),
    )


def _by_name(program: str, source: str) -> Evidence:
    statement = f"The file names an image generator as its program: {in_line(program)}."
    return Evidence("generator-text", statement, source, FORGEABLE, FORGEABLE_GENERATED, bounded(program))


def prompt_writer(text: str) -> str | None:
    """Return the program whose form a text of generation parameters has, None where it has none."""
    if _WEB_UI.search(text[:_TEXT_CHARACTERS]):
        return "a Stable Diffusion web UI"
    fields = as_object(text)
    if fields.get("metadata_scheme") == "fooocus" or str(fields.get("version")).startswith("Fooocus v"):
        return "Fooocus"
    if fields.get("Software") == "NovelAI":
        return "NovelAI"
    return "ComfyUI" if _samples(fields) else None


def _samples(graph: Mapping[str, Any]) -> bool:
    """Tell whether a ComfyUI graph (API form or workflow form) has a node that samples from a model."""
    listed = graph.get("nodes")
    if isinstance(listed, list):
        kinds = [node.get("type") for node in listed if isinstance(node, dict)]
    else:
        kinds = [node.get("class_type") for node in graph.values() if isinstance(node, dict)]
    return any(isinstance(kind, str) and "sampler" in kind.lower() for kind in kinds)


def _png(key: str, text: str, source: str) -> Iterator[Evidence]:
    """Yield what one text says; a PNG may hold several of one key."""
    start = text[:_TEXT_CHARACTERS]
    if key in ("parameters", "prompt", "workflow"):
        if maker := prompt_writer(text):
            yield _found(maker, source, text)
    elif key in ("invokeai_metadata", "sd-metadata"):
        if as_object(text):
            yield _found("InvokeAI", source, text)
    elif key == "Dream" and _DREAM.search(start):
        yield _found("InvokeAI", source, text)
    elif key == "Description" and _MIDJOURNEY.search(start):
        yield _found("Midjourney", source, text, "a prompt with its flags and job number")
    elif key == "Software" and _PROGRAM.fullmatch(text):
        yield _by_name(text, source)


def _exif(exif: Exif) -> Iterator[Evidence]:
    comment = exif.comment
    if maker := prompt_writer(comment):
        yield _found(maker, f"{exif.source} EXIF UserComment", comment)
    for tag, name in ((MAKE, "Make"), (MODEL, "Model"), (IMAGE_DESCRIPTION, "ImageDescription")):
        text = exif.text(tag)
        if text[:9].lower().startswith(_GRAPHS) and _samples(as_object(text.partition(":")[2])):
            yield _found("ComfyUI", f"{exif.source} EXIF {name}", text)
    if _PROGRAM.fullmatch(program := exif.text(SOFTWARE)):
        yield _by_name(program, f"{exif.source} EXIF Software")
    elif exif.text(MAKE) == _FLUX_MAKER:
        yield _by_name(f"{exif.text(MAKE)} {exif.text(MODEL)}", f"{exif.source} EXIF Make")
    signature = exif.text(IMAGE_DESCRIPTION) or comment
    if _XAI.fullmatch(signature) and re.fullmatch(_UUID, exif.text(ARTIST)):
        yield _found("xAI", f"{exif.source} EXIF ImageDescription", signature, "a signature and an identifier")


def is_generator_name(text: str) -> bool:
    """Tell whether a field for a camera's or a program's name holds a generator's name or its graph instead."""
    return bool(_PROGRAM.fullmatch(text)) or text == _FLUX_MAKER or text[:9].lower().startswith(_GRAPHS)


# The text in the lowest bits of the pixels, column by column, most significant bit first.

_SIGNATURES = {
    (b"stealth_pnginfo", True): False,
    (b"stealth_pngcomp", True): True,
    (b"stealth_rgbinfo", False): False,
    (b"stealth_rgbcomp", False): True,
}
"""Signature and whether it stands in alpha; whether what follows is compressed."""

_SIGNATURE_BITS, _LENGTH_BITS = 120, 32


def hidden_text_evidence(data: bytes, pixels: NDArray[np.uint8] | None) -> Iterator[Evidence]:
    """Yield the text that some generators hide in a PNG's lowest bits, in alpha or in red, green and blue.

    Parameters
    ----------
    data : bytes
        The whole file; only 8-bit PNGs of colour are looked at.
    pixels : numpy.ndarray, shape (height, width, 3), uint8, optional
        The decoded picture; without it the file was refused, and is not decoded here either.
    """
    planes = None if pixels is None else _planes(data, pixels)
    if planes is None:
        return
    for in_alpha in (True, False) if planes.shape[2] == 4 else (False,):
        text = _hidden(planes[:, :, 3:] if in_alpha else planes[:, :, :3], in_alpha)
        if text is not None:
            where = "alpha" if in_alpha else "red, green and blue"
            maker = prompt_writer(text) or "a generator with hidden parameters"
            yield _found(maker, f"PNG lowest bits of {where}", text, "generation parameters hidden in its pixels")


def _planes(data: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return a PNG's own 8-bit samples, (height, width, 3 or 4); the decoded picture where it holds the same."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[24:25] != b"\x08" or data[25:26] not in (b"\2", b"\6"):
        return None
    if data[25] == 2 and not {b"iCCP", b"eXIf", b"tRNS"} & {name for name, _ in png_chunks(data)}:
        return pixels
    import numpy as np
    from PIL.PngImagePlugin import PngImageFile

    try:
        picture = PngImageFile(io.BytesIO(_bare_png(data)))
        if picture.width * picture.height != pixels.shape[0] * pixels.shape[1]:
            return None
        return np.asarray(picture)
    except (OSError, SyntaxError, ValueError):
        return None


def _bare_png(data: bytes) -> bytes:
    """Return a PNG without its texts: Pillow refuses whole pictures for a text of more than 1 MiB."""
    parts, at = [data[:8]], 8
    for name, _ in png_chunks(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if name in (b"IHDR", b"IDAT"):
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, b"\0\0\0\0IEND\xaeB`\x82"])


def _hidden(planes: NDArray[np.uint8], in_alpha: bool) -> str | None:
    """Return the text behind a signature, None where the first bits are no signature."""
    head = _SIGNATURE_BITS + _LENGTH_BITS
    start = _lowest_bits(planes, head)
    compressed = _SIGNATURES.get((start[: _SIGNATURE_BITS // 8], in_alpha))
    if compressed is None or len(start) < head // 8:
        return None
    length = int.from_bytes(start[_SIGNATURE_BITS // 8 : head // 8], "big")
    if length > min(planes.size - head, 8 * TEXT_BYTES):
        return None
    body = _lowest_bits(planes, head + length)[head // 8 :]
    if compressed:
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, TEXT_BYTES)
        except zlib.error:
            body = b""
    return decoded(body)


def _lowest_bits(planes: NDArray[np.uint8], count: int) -> bytes:
    """Return the first `count` lowest bits, packed: columns left to right, rows downwards, then channels."""
    import numpy as np

    columns = -(-count // (planes.shape[0] * planes.shape[2]))
    bits = (planes[:, :columns] & 1).swapaxes(0, 1).reshape(-1)[:count]
    return bytes(np.packbits(bits[: len(bits) // 8 * 8]))

"""Labels, generators' texts, cameras, invisible marks: each read from its own container, and from nowhere else."""

from __future__ import annotations

import io
import json
import os
import zlib
from math import isclose, log
from pathlib import Path

import numpy as np
import pytest
from d2f_provenance.evidence import FORGEABLE, TRUST, count_once
from d2f_provenance.fields import as_object
from d2f_provenance.labels import SOURCE_TYPES, source_type
from d2f_provenance.marks import CODES, MOST, correlations, mark_evidence
from numpy.typing import NDArray
from PIL import Image, ImageOps

from d2f import Evidence
from tests.plugins.pictures import PHOTOGRAPHS, flat_picture, noise_picture, photograph
from tests.plugins.provenance_files import (
    GENERATED,
    PARAMETERS,
    STAGE,
    TERMS,
    UUID,
    alarms,
    chunk,
    encoded,
    exif_of,
    jpeg,
    jpeg_xmp,
    picture,
    png,
    read,
    riff,
    segment,
    text,
    webp,
    xmp,
)

LABEL = xmp(f'ext:DigitalSourceType="{GENERATED}"')
COMFY = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})


def one(data: bytes, kind: str) -> Evidence:
    """Return the only evidence of a kind, after checking that it counts as forgeable text."""
    found = [item for item in read(data) if item.kind == kind]
    assert len(found) == 1
    assert found[0].trust == FORGEABLE
    return found[0]


# Containers


def gif(*extensions: bytes) -> bytes:
    plain = encoded("GIF")
    return plain[:-1] + b"".join(extensions) + plain[-1:]


def gif_xmp(packet: bytes) -> bytes:
    return b"\x21\xff\x0bXMP DataXMP" + packet + b"\1" + bytes(range(255, -1, -1)) + b"\0"


def iim(record: int, number: int, value: bytes) -> bytes:
    return b"\x1c" + bytes([record, number]) + len(value).to_bytes(2, "big") + value


def resource(data: bytes) -> bytes:
    return b"8BIM\x04\x04\0\0" + len(data).to_bytes(4, "big") + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (jpeg_xmp(LABEL), "JPEG APP1 XMP DigitalSourceType"),
        (png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + LABEL)), "PNG iTXt XMP DigitalSourceType"),
        (png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LABEL))), "PNG iTXt XMP DigitalSourceType"),
        (png(chunk(b"tEXt", b"XML:com.adobe.xmp\0" + LABEL)), "PNG tEXt XMP DigitalSourceType"),
        (png(text("Raw profile type xmp", f"\nxmp\n{len(LABEL)}\n{LABEL.hex()}\n")), "PNG tEXt XMP DigitalSourceType"),
        (webp(riff(b"XMP ", LABEL)), "WebP XMP DigitalSourceType"),
        (gif(gif_xmp(LABEL)), "GIF XMP DigitalSourceType"),
        (encoded("TIFF", tiffinfo={700: LABEL}), "TIFF tag 700 XMP DigitalSourceType"),
        (encoded("AVIF", xmp=LABEL), "HEIF XMP DigitalSourceType"),
    ],
    ids=["jpeg", "itxt", "itxt-zip", "text", "raw-profile", "webp", "gif", "tiff", "avif"],
)
def test_xmp_of_every_container(data: bytes, source: str) -> None:
    found = one(data, "iptc")
    assert found.source == source
    assert isclose(found.llr, log(3))
    assert found.raw == GENERATED


def test_extended_xmp_is_joined_in_order_of_its_offsets() -> None:
    digits, half = b"0123456789ABCDEF0123456789ABCDEF", len(LABEL) // 2
    parts = [
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + digits + len(LABEL).to_bytes(4, "big") + place + part)
        for place, part in (
            (half.to_bytes(4, "big"), LABEL[half:]),
            (bytes(4), LABEL[:half]),
        )
    ]
    standard = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(f'note:HasExtendedXMP="{digits.decode()}"'))
    assert one(jpeg(parts[0], standard, parts[1]), "iptc").source == "JPEG APP1 extended XMP DigitalSourceType"
    assert read(jpeg(standard, parts[0])) == []
    assert read(jpeg(*parts)) == []


def test_iptc_credit_spread_over_two_segments() -> None:
    data = resource(iim(2, 0, b"\0\4") + iim(2, 110, b"Made with Google AI"))
    whole = jpeg(*(segment(0xED, b"Photoshop 3.0\0" + part) for part in (data[:17], data[17:])))
    assert one(whole, "iptc").source == "JPEG APP13 IPTC 2:110 Credit"
    assert alarms(jpeg(segment(0xED, b"Photoshop 3.0\0" + resource(iim(2, 120, b"Made with Google AI"))))) == []


def test_exif_of_every_container() -> None:
    block = Image.Exif()
    block[0x0131] = "AI generated;txt2img;flux"
    for name in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        assert one(encoded(name, exif=block), "generator-text").raw == "AI generated;txt2img;flux", name
    raw = b"Exif\0\0" + block.tobytes().removeprefix(b"Exif\0\0")
    profile = text("Raw profile type exif", f"\nexif\n{len(raw)}\n{raw.hex()}\n")
    assert one(png(profile), "generator-text").source == "PNG tEXt EXIF Software"


# Labels


@pytest.mark.parametrize("term", SOURCE_TYPES)
def test_source_types(term: str) -> None:
    found = one(jpeg_xmp(xmp(f'ext:DigitalSourceType="{TERMS}{term}"')), "iptc")
    assert SOURCE_TYPES[term].meaning in found.statement
    assert (found.llr > 0) == (term == "trainedAlgorithmicMedia")


@pytest.mark.parametrize(
    "value",
    [
        GENERATED,
        GENERATED.replace("http:", "https:"),
        f" {GENERATED} ",
        "digsrctype:trainedAlgorithmicMedia",
        "trainedAlgorithmicMedia",
    ],
)
def test_forms_of_one_term(value: str) -> None:
    assert source_type(value) is SOURCE_TYPES["trainedAlgorithmicMedia"]


def test_what_is_no_term() -> None:
    assert source_type("http://example.org/a term") is None
    assert source_type("not trainedAlgorithmicMedia") is None
    assert source_type("x" * 100_000) is None
    assert source_type(None) is None
    unknown = one(jpeg_xmp(xmp(f'ext:DigitalSourceType="{TERMS}newTerm"')), "iptc")
    assert unknown.llr == 0
    assert "unknown term" in unknown.statement


def test_element_reference_and_list_forms() -> None:
    for element in (
        f"<ext:DigitalSourceType>{GENERATED}</ext:DigitalSourceType>",
        f'<ext:DigitalSourceType rdf:resource="{GENERATED}"/>',
        f"<ext:DigitalSourceType><rdf:Bag><rdf:li>{GENERATED}</rdf:li></rdf:Bag></ext:DigitalSourceType>",
    ):
        assert one(jpeg_xmp(xmp(elements=element)), "iptc").llr > 0


def test_the_same_term_in_both_fields_is_stated_once() -> None:
    both = (
        f'ext:DigitalSourceType="{GENERATED}" ext:DigitalSourceFileType="{GENERATED}" ps:Credit="Made with Google AI"'
    )
    found = read(jpeg_xmp(xmp(both)))
    assert [item.kind for item in found] == ["iptc", "iptc"]
    assert isclose(sum(item.llr for item in found), log(3))


def test_system_that_generated_it() -> None:
    fields = 'ext:AISystemUsed="Gen" ext:AISystemVersionUsed="3" ext:AIPromptInformation="a duck"'
    found = one(jpeg_xmp(xmp(fields)), "iptc")
    assert found.raw == "Gen 3; prompt: a duck"
    assert found.llr > 0


@pytest.mark.parametrize(("label", "llr"), [("1", log(3)), ("2", 0.0), ("3", 0.0)])
def test_aigc_labels(label: str, llr: float) -> None:
    fields = json.dumps({"Label": label, "ContentProducer": "0011", "ProduceID": "x"})
    escaped = fields.replace('"', "&quot;")
    comment = {0x9286: b"ASCII\0\0\0" + json.dumps({"AIGC": json.loads(fields)}).encode()}
    for data in (
        jpeg_xmp(xmp(f'tc:AIGC="{escaped}"')),
        jpeg_xmp(xmp(elements=f"<tc:AIGC>{escaped}</tc:AIGC>")),
        png(text("AIGC", fields)),
        exif_of({}, comment),
    ):
        assert isclose(one(data, "aigc-label").llr, llr)


@pytest.mark.parametrize(
    "value", ["", "1", "{}", "[1]", '{"Label": "4"}', '{"Label": true}', '{"Label": [1]}', "{" * 9]
)
def test_what_is_no_aigc_label(value: str) -> None:
    assert read(png(text("AIGC", value))) == []


# Generators' texts


@pytest.mark.parametrize(
    ("data", "maker"),
    [
        (png(text("parameters", PARAMETERS)), "Stable Diffusion web UI"),
        (png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(PARAMETERS.encode()))), "Stable Diffusion web UI"),
        (exif_of({}, {0x9286: b"UNICODE\0" + PARAMETERS.encode("utf-16-be")}), "Stable Diffusion web UI"),
        (exif_of({}, {0x9286: b"UNICODE\0" + PARAMETERS.encode("utf-16-le")}), "Stable Diffusion web UI"),
        (
            png(text("parameters", f'{PARAMETERS}, Lora hashes: "a: 1, b: \\"2\\"", Version: v1.9')),
            "Stable Diffusion web UI",
        ),
        (png(text("parameters", f'{PARAMETERS}, Civitai resources: [{{"a":1,"b":2}}]\n')), "Stable Diffusion web UI"),
        (png(text("parameters", f"{PARAMETERS}\nTemplate: a {{duck, goose}}")), "Stable Diffusion web UI"),
        (png(text("prompt", COMFY)), "ComfyUI"),
        (png(text("workflow", json.dumps({"nodes": [{"type": "SamplerCustom"}]}))), "ComfyUI"),
        (exif_of({0x010F: f"workflow:{COMFY}"}), "ComfyUI"),
        (png(text("parameters", '{"prompt": "a", "metadata_scheme": "fooocus"}')), "Fooocus"),
        (exif_of({0x0131: "Fooocus v2.5.5"}), "Fooocus"),
        (png(text("invokeai_metadata", '{"positive_prompt": "a"}')), "InvokeAI"),
        (png(text("sd-metadata", '{"model": "stable diffusion"}')), "InvokeAI"),
        (png(text("Dream", '"a duck" -s 50 -S 298 -W 512 -H 768 -C 7.5 -A k_lms')), "InvokeAI"),
        (png(text("Software", "NovelAI"), text("Title", "AI generated image")), "NovelAI"),
        (png(text("Description", f"a duck --ar 4:3 --v 5.2 Job ID: {UUID}")), "Midjourney"),
        (exif_of({0x010F: "Black Forest Labs", 0x0110: "flux-dev"}), "Black Forest Labs"),
        (exif_of({0x010E: "Signature: " + "aB3/" * 40 + "==", 0x013B: UUID}), "xAI"),
        (exif_of({0x0131: "AI generated;txt2img;flux"}), "AI generated"),
        (exif_of({0x0131: "DALL-E 3"}), "DALL-E"),
        (jpeg_xmp(xmp('xmp:CreatorTool="Midjourney 7"')), "Midjourney"),
    ],
)
def test_generators(data: bytes, maker: str) -> None:
    found = one(data, "generator-text")
    assert maker in found.statement
    assert isclose(found.llr, log(3))


def test_a_second_text_of_the_same_key_hides_nothing() -> None:
    real, other = text("parameters", PARAMETERS), text("parameters", "hello")
    for data in (png(real, other), png(other, real)):
        assert "Stable Diffusion web UI" in one(data, "generator-text").statement


# The text in the lowest bits


def hidden(signature: bytes, body: bytes, channels: slice, mode: str = "RGBA") -> bytes:
    """Return a PNG whose lowest bits hold a signature, a length in bits and a body, column by column."""
    planes = np.array(picture(size=96).convert(mode))
    message = signature + (8 * len(body)).to_bytes(4, "big") + body
    bits = np.unpackbits(np.frombuffer(message, np.uint8))
    part = planes[..., channels].swapaxes(0, 1).copy()
    flat = part.reshape(-1)
    flat[: len(bits)] = flat[: len(bits)] & 254 | bits
    planes[..., channels] = part.swapaxes(0, 1)
    return encoded("PNG", Image.fromarray(planes))


ALPHA, COLOURS = slice(3, 4), slice(0, 3)


@pytest.mark.parametrize(
    ("signature", "channels", "mode"),
    [
        (b"stealth_pnginfo", ALPHA, "RGBA"),
        (b"stealth_pngcomp", ALPHA, "RGBA"),
        (b"stealth_rgbinfo", COLOURS, "RGB"),
        (b"stealth_rgbcomp", COLOURS, "RGB"),
    ],
)
def test_hidden_texts(signature: bytes, channels: slice, mode: str) -> None:
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(PARAMETERS.encode()) + packer.flush() if signature.endswith(b"comp") else PARAMETERS.encode()
    data = hidden(signature, body, channels, mode)
    found = [item for item in read(data, with_pixels=True) if item.kind == "generator-text"]
    assert [item.raw for item in found] == [PARAMETERS]
    assert read(data) == []


@pytest.mark.parametrize(
    ("signature", "body", "channels"),
    [
        (b"stealth_rgbinfo", b"text", ALPHA),
        (b"stealth_pnginfo", b"text", COLOURS),
        (b"Stealth_pnginfo", b"text", ALPHA),
    ],
)
def test_signatures_in_the_wrong_place(signature: bytes, body: bytes, channels: slice) -> None:
    assert read(hidden(signature, body, channels), with_pixels=True) == []


def test_hidden_length_beyond_the_picture() -> None:
    planes = np.full((96, 96, 4), 255, np.uint8)
    bits = np.unpackbits(np.frombuffer(b"stealth_pnginfo\xff\xff\xff\xff", np.uint8))
    column = planes[:, :2, 3].T.reshape(-1).copy()
    column[: len(bits)] = 254 | bits
    planes[:, :2, 3] = column.reshape(2, 96).T
    assert read(encoded("PNG", Image.fromarray(planes)), with_pixels=True) == []


def test_a_text_that_pillow_refuses_does_not_hide_the_pixels() -> None:
    data = hidden(b"stealth_pnginfo", PARAMETERS.encode(), ALPHA)
    long = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 * 2**20)))
    with_text = data[:33] + long + data[33:]
    from d2f_provenance.generators import hidden_text_evidence

    shown = np.asarray(picture(size=96))
    assert len(list(hidden_text_evidence(with_text, shown))) == 1


# Camera and consistency


def test_camera() -> None:
    tags = {0x010F: "Canon", 0x0110: "Canon EOS 40D", 0x0131: "Adobe Photoshop 26.0", 0x0132: "2026:05:03 10:00:00"}
    found = read(exif_of(tags, {0x9003: "2026:05:01 10:00:00"}), with_pixels=True)
    assert [item.kind for item in found] == ["camera", "exif"]
    assert found[0].statement == "EXIF names a camera: Canon EOS 40D, picture taken 2026-05-01 10:00:00."
    assert not any(item.llr for item in found)


def test_dates_and_sizes_that_do_not_agree() -> None:
    tags = {0x010F: "Nikon", 0x0110: "D750", 0x0132: "2024:05:03 10:00:00"}
    details = {0x9003: "2026:05:01 10:00:00", 0xA002: 6016, 0xA003: 4016}
    found = [item for item in read(exif_of(tags, details), with_pixels=True) if item.kind == "consistency"]
    assert [item.raw for item in found] == [
        "DateTimeOriginal 2026-05-01 10:00:00, DateTime 2024-05-03 10:00:00",
        "EXIF 6016x4016, file 48x48",
    ]


def with_thumbnail(shown: Image.Image, thumbnail: Image.Image, orientation: int = 1) -> bytes:
    """Return a JPEG whose EXIF holds another JPEG: the second directory, by hand."""
    small = encoded("JPEG", thumbnail, quality=90)
    entry = b"\x01\x12\0\3\0\0\0\1" + orientation.to_bytes(2, "big") + b"\0\0"
    first = b"\0\1" + entry + (26).to_bytes(4, "big")
    second = (
        b"\0\2"
        + b"\x02\x01\0\4\0\0\0\1"
        + (8 + 18 + 2 + 24 + 4).to_bytes(4, "big")
        + b"\x02\x02\0\4\0\0\0\1"
        + len(small).to_bytes(4, "big")
        + bytes(4)
    )
    block = b"Exif\0\0MM\0*\0\0\0\x08" + first + second + small
    plain = encoded("JPEG", shown, quality=90)
    return plain[:2] + segment(0xE1, block) + plain[2:]


def test_thumbnails() -> None:
    random = np.random.default_rng(7)
    shown, other = (
        Image.fromarray(random.integers(0, 255, (8, 12, 3), np.uint8)).resize((192, 128), Image.Resampling.BICUBIC)
        for _ in range(2)
    )
    bars = Image.new("RGB", (160, 120))
    bars.paste(shown.resize((160, 107)), (0, 6))
    for thumbnail, expected in ((shown.resize((96, 64)), []), (bars, []), (other.resize((96, 64)), ["consistency"])):
        for orientation in range(1, 9):
            data = with_thumbnail(shown, thumbnail, orientation)
            upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            assert [item.kind for item in STAGE.read(data, np.asarray(upright))] == expected, orientation


def test_camera_and_generator_in_one_file() -> None:
    block = Image.Exif()
    block[0x010F], block[0x0110] = "Canon", "EOS R5"
    packet = xmp(f'ext:DigitalSourceType="{GENERATED}"')
    found = read(encoded("JPEG", exif=block, xmp=packet))
    assert [item.kind for item in found] == ["iptc", "camera", "consistency"]
    assert found[-1].statement == "The file names a camera and has a label of AI generation."
    comment = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    found = read(exif_of({0x010F: "Canon", 0x0110: "EOS R5"}, {0x9286: comment}))
    assert [item.kind for item in found] == ["generator-text", "camera", "consistency"]
    assert found[-1].statement == "The file names both a camera and an image generator."
    flux = {0x010F: "Black Forest Labs", 0x0110: "flux-dev", 0x0131: "AI generated;txt2img;flux"}
    assert [item.kind for item in read(exif_of(flux))] == ["generator-text"]


# What counts


def test_only_the_strongest_statement_counts() -> None:
    items = [Evidence("a", "a.", "s", FORGEABLE, llr) for llr in (1.0, 3.0, -2.0, 3.0, 0.0, -1.0)]
    assert [item.llr for item in count_once(items)] == [0.0, 3.0, -2.0, 0.0, 0.0, 0.0]


def test_trust_words_are_the_stated_ones() -> None:
    found = [*read(jpeg_xmp(LABEL)), *read(png(text("parameters", PARAMETERS)))]
    assert {item.trust for item in found} <= set(TRUST)


def test_raw_fields_are_bounded_and_printable() -> None:
    value = PARAMETERS + "\0\x1b[31m" + "x" * 10_000
    raw = one(png(text("parameters", value)), "generator-text").raw
    assert len(raw) <= 600
    assert "\x1b" not in raw


def test_json_that_is_no_object() -> None:
    for value in ("", "[]", "{", "null", "{" * 5000 + "}" * 5000, '{"a": NaN'):
        assert as_object(value) == {}


# Invisible marks: written here by the published method, read by correlation, not found in photographs.


def marked(pixels: NDArray[np.uint8], bits: tuple[int, ...]) -> NDArray[np.uint8]:
    """Embed bits as generators do, in float: each block's largest value moves to the middle of its half step."""
    height, width = pixels.shape[0] // 8 * 8, pixels.shape[1] // 8 * 8
    rgb = pixels.astype(np.float64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    chroma = (rgb[..., 2] - luma) * 0.492 + 0.5
    low = chroma[:height, :width].reshape(height // 2, 2, width // 2, 2).sum((1, 3)) / 2
    move = np.zeros_like(low)
    for block in range(height // 8 * (width // 8)):
        top, left = 4 * (block // (width // 8)), 4 * (block % (width // 8))
        values = low[top : top + 4, left : left + 4].ravel()
        place = 1 + int(np.abs(values[1:]).argmax())
        size = abs(values[place])
        wanted = (size // 36 + 0.25 + 0.5 * bits[block % len(bits)]) * 36
        move[top + place // 4, left + place % 4] = np.sign(values[place]) * (wanted - size)
    change = np.zeros(pixels.shape[:2])
    change[:height, :width] = np.repeat(np.repeat(move / 2, 2, 0), 2, 1)
    rgb[..., 2] += 2.032 * change
    rgb[..., 1] -= 0.395 * change
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def resaved(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("at", range(len(CODES)))
def test_a_mark_is_read_again_and_named(at: int) -> None:
    pixels = marked(photograph("astronaut"), CODES[at].bits)
    assert int(np.argmax(correlations(pixels))) == at
    found = list(mark_evidence(pixels))
    assert [item.kind for item in found] == ["invisible-mark"]
    assert CODES[at].maker in found[0].statement
    assert isclose(found[0].llr, log(300))


def test_a_mark_survives_a_fine_jpeg_and_not_a_crop_or_resize() -> None:
    pixels = marked(photograph("astronaut"), CODES[0].bits)
    assert list(mark_evidence(resaved(pixels, 95)))
    assert not list(mark_evidence(pixels[3:, 5:]))
    half = np.asarray(Image.fromarray(pixels).resize((300, 300), Image.Resampling.BICUBIC))
    assert not list(mark_evidence(half))


def test_lengths_of_the_codes() -> None:
    assert [len(code.bits) for code in CODES] == [48, 46, 136, 32, 64]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_carry_none(name: str) -> None:
    assert list(mark_evidence(photograph(name))) == []


def test_pictures_without_a_mark_of_any_size() -> None:
    assert list(mark_evidence(None)) == []
    for pixels in (
        flat_picture(300, 300),
        noise_picture(300, 300),
        noise_picture(4, 40_000),
        noise_picture(1, 70_000),
        noise_picture(255, 256),
    ):
        assert list(mark_evidence(pixels)) == []
    assert correlations(noise_picture(255, 256)) == [0.0] * 5


def test_large_pictures_are_read_from_the_top() -> None:
    tile = marked(photograph("astronaut")[:192, :384], CODES[0].bits)
    wide = np.tile(tile, (1, 6, 1))  # 288 blocks in a row, a multiple of 48: the tiles' bits stay in step
    tall = np.concatenate([np.tile(wide, (10, 1, 1)), noise_picture(2000, wide.shape[1])])
    assert tall.shape[0] * tall.shape[1] > MOST
    assert correlations(tall)[0] > 0.7


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_no_false_alarm_on_photographs_of_train() -> None:
    from d2f.images.read import read_image

    paths = sorted(path for path in Path(os.environ["D2F_DATA"], "train", "real").rglob("*") if path.is_file())[::12]
    highest = [0.0] * len(CODES)
    for path in paths:
        highest = [max(pair) for pair in zip(highest, correlations(read_image(str(path)).pixels), strict=True)]
    assert all(r < code.threshold for r, code in zip(highest, CODES, strict=True)), highest


# Files that name no generator in a generator's own field: none of them counts for generation.

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
WORDS = f'Talk on Midjourney, "Job ID: {UUID}", trainedAlgorithmicMedia, Made with Google AI, parameters: Steps: 20'

STORY = (
    "My photo. I described it to a model with\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, and it looked nothing like it."
)
CAMERA = {0x010F: "SONY", 0x0110: "ILCE-7M4", 0x0131: "ILCE-7M4 v3.00", 0x0132: "2026:01:02 03:04:05"}
TAKEN = {0x9003: "2026:01:02 03:04:05"}

HISTORY = (
    "<mm:History><rdf:Seq><rdf:li rdf:parseType='Resource'><mm:action>saved</mm:action>"
    "<mm:softwareAgent>Adobe Firefly</mm:softwareAgent></rdf:li></rdf:Seq></mm:History>"
)
PANTRY = (
    f"<mm:Pantry><rdf:Bag><rdf:li><rdf:Description ext:DigitalSourceType='{GENERATED}'/></rdf:li></rdf:Bag></mm:Pantry>"
    f"<mm:Ingredients><rdf:Bag><rdf:li ext:DigitalSourceType='{GENERATED}'/></rdf:Bag></mm:Ingredients>"
)


def described(words: str) -> str:
    return f"<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{words}</rdf:li></rdf:Alt></dc:description>"


ORDINARY = {
    "camera": exif_of(CAMERA, TAKEN),
    "camera that is Google's": exif_of({0x010F: "Google", 0x0110: "Pixel 8 Pro", 0x0131: "HDR+ 1.0.57"}, TAKEN),
    "EXIF caption": exif_of(
        {**CAMERA, 0x010E: WORDS, 0x013B: "Midjourney"}, {**TAKEN, 0x9286: b"ASCII\0\0\0" + WORDS.encode()}
    ),
    "EXIF comment of zeros": exif_of(CAMERA, {0x9286: bytes(264)}),
    "EXIF comment with one word": exif_of(CAMERA, {0x9286: b"UNICODE\0" + "Steps: many".encode("utf-16-be")}),
    "EXIF comment on parameters": exif_of(CAMERA, {0x9286: b"UNICODE\0" + STORY.encode("utf-16-be")}),
    "EXIF comment that goes on after parameters": exif_of(
        CAMERA, {0x9286: b"ASCII\0\0\0" + f"{PARAMETERS}\nand it looked nothing like it.".encode()}
    ),
    "EXIF program that detects": exif_of({0x0131: "Stable Diffusion detector 1.0"}),
    "EXIF program of a newsroom": exif_of({0x0131: "Midjourney-detector by Reuters"}),
    "an opinion": jpeg_xmp(xmp('xmp:CreatorTool="NovelAI is what I dislike"')),
    "EXIF signature without an identifier": exif_of({0x010E: "Signature: " + "a" * 200, 0x013B: "A. Person"}),
    "EXIF program": exif_of({0x0131: "Midday generated report 3"}),
    "Lightroom": jpeg_xmp(
        xmp('xmp:CreatorTool="Adobe Lightroom 14.1 (Macintosh)" ps:Credit="Agency"', described(WORDS))
    ),
    "Photoshop": jpeg_xmp(xmp('xmp:CreatorTool="Adobe Photoshop 26.11 (Windows)"', HISTORY + PANTRY)),
    "credit that quotes": jpeg_xmp(xmp('ps:Credit="Photo of a sign that reads Made with Google AI"')),
    "another namespace": jpeg_xmp(xmp(f'dc:DigitalSourceType="{GENERATED}" dc:AIGC="1"')),
    "prefix of another namespace": jpeg_xmp(
        xmp(f'xmlns:Iptc4xmpExt="http://example.org/" Iptc4xmpExt:DigitalSourceType="{GENERATED}"')
    ),
    "edited by a person": jpeg_xmp(xmp('ext:DigitalSourceType="digsrctype:humanEdits"')),
    "edited in part": jpeg_xmp(xmp('ext:DigitalSourceType="digsrctype:compositeWithTrainedAlgorithmicMedia"')),
    "parameters of a microscope": png(text("parameters", "gain=3; Sampler: stage, Seed: oak")),
    "parameters in JSON": png(text("parameters", '{"version": 3, "steps": 20}')),
    "a caption that quotes parameters": png(text("Description", PARAMETERS), text("Comment", PARAMETERS)),
    "a job number": png(text("Description", "Poster, Job ID: 4711"), text("Author", "Print shop")),
    "a job identifier": png(text("Description", f"Poster -- second print. Job ID: {UUID}")),
    "a job identifier quoted": png(text("Description", f"she typed --v 5 and got Job ID: {UUID} from it")),
    "a dream": png(text("Dream", '"I had a dream" -s and -S')),
    "a workflow of an office": png(text("workflow", '{"nodes": [{"type": "approval"}]}'), text("prompt", "C:\\>")),
    "a graph that only scales": png(text("prompt", '{"1": {"class_type": "ImageScale", "inputs": {}}}')),
    "a program": png(text("Software", "Adobe ImageReady"), text("Title", "AI generated image")),
    "colour and alpha": encoded("PNG", Image.new("RGBA", (300, 300), (10, 200, 30, 255))),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files(name: str) -> None:
    assert alarms(ORDINARY[name], with_pixels=True) == []


PLAIN, PLAIN_PNG, PLAIN_WEBP = encoded("JPEG"), encoded("PNG"), encoded("WEBP")
MANIFEST = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\08\x9bq\x03c2pa\0" + bytes(40)

MISPLACED = {
    "XMP after the end of a JPEG": PLAIN + segment(0xE1, XMP_HEAD + LABEL),
    "XMP after the first scan": PLAIN[:-2] + segment(0xE1, XMP_HEAD + LABEL) + PLAIN[-2:],
    "XMP in a comment": jpeg(segment(0xFE, XMP_HEAD + LABEL)),
    "XMP in another segment": jpeg(segment(0xE4, XMP_HEAD + LABEL)),
    "XMP inside an EXIF caption": exif_of({0x010E: LABEL.decode("ascii", "replace")}),
    "a manifest in a comment": jpeg(segment(0xFE, MANIFEST)),
    "a manifest after the end of a JPEG": PLAIN + segment(0xEB, MANIFEST),
    "a manifest inside an EXIF comment": exif_of({}, {0x9286: MANIFEST}),
    "PNG text after the end": PLAIN_PNG + text("parameters", PARAMETERS),
    "a PNG manifest after the end": PLAIN_PNG + chunk(b"caBX", MANIFEST[8:]),
    "a PNG text in a JPEG": jpeg(segment(0xFE, text("parameters", PARAMETERS))),
    "a PNG text in an unknown chunk": png(chunk(b"teXt", b"parameters\0" + PARAMETERS.encode())),
    "XMP under another keyword": png(chunk(b"iTXt", b"Comment\0\0\0\0\0" + LABEL)),
    "a WebP chunk after the end": PLAIN_WEBP + riff(b"XMP ", LABEL),
    "a WebP chunk of another name": webp(riff(b"xmp ", LABEL)),
    "a WebP chunk inside another": webp(riff(b"JUNK", riff(b"XMP ", LABEL))),
    "a whole marked PNG after a JPEG": PLAIN + png(text("parameters", PARAMETERS)),
    "a marked JPEG after a PNG": PLAIN_PNG + jpeg_xmp(LABEL),
    "an unknown format": b"no image at all " + LABEL + PARAMETERS.encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("name", MISPLACED)
def test_markers_in_the_wrong_place_are_not_read(name: str) -> None:
    assert [item.statement for item in read(MISPLACED[name]) if item.kind != "exif"] == []


def test_the_same_markers_in_their_place_are_read() -> None:
    assert [item.kind for item in read(jpeg_xmp(LABEL))] == ["iptc"]
    assert [item.kind for item in read(png(text("parameters", PARAMETERS)))] == ["generator-text"]
    assert [item.kind for item in read(webp(riff(b"XMP ", LABEL)))] == ["iptc"]
    assert [item.kind for item in read(jpeg(segment(0xEB, MANIFEST)))] == ["c2pa"]
    assert [item.kind for item in read(png(chunk(b"caBX", MANIFEST[8:])))] == ["c2pa"]

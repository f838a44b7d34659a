"""Labels, generators' texts, cameras: each read from its own container, and from nowhere else."""

from __future__ import annotations

import io
import json
import zlib
from math import isclose, log

import numpy as np
import pytest
from d2f_provenance.evidence import FORGEABLE, TRUST, count_once
from d2f_provenance.fields import as_object
from d2f_provenance.labels import SOURCE_TYPES, source_type
from PIL import Image, ImageOps

from d2f import Evidence
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

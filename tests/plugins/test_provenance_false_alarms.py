"""Files that name no generator in a generator's own field: none of them counts for generation."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.plugins.provenance_files import (
    GENERATED,
    PARAMETERS,
    UUID,
    alarms,
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

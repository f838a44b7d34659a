import hashlib
import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from d2f import D2FError
from d2f.data.facts import chroma_subsampling, facts_of, read_facts

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))


def saved(format, picture=PICTURE, **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("given", "name"), [("4:4:4", "4:4:4"), ("4:2:2", "4:2:2"), ("4:2:0", "4:2:0")])
def test_a_jpeg_tells_quality_and_chroma(given, name):
    data = saved("JPEG", quality=87, subsampling=given)
    facts = facts_of(data, "a.jpg")
    assert (facts.format, facts.quality, facts.chroma) == ("JPEG", 87, name)
    assert (facts.width, facts.height, facts.bytes) == (40, 24, len(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.bytes_per_pixel == len(data) / 960


def test_grey_jpegs_and_odd_factors_have_names_too():
    assert facts_of(saved("JPEG", PICTURE.convert("L"))).chroma == "grey"
    assert chroma_subsampling([(3, 1), (1, 1), (1, 1)]) == "3x1"
    assert chroma_subsampling([(3, 1), (2, 1), (2, 1)]) == "3/2x1/1"


def test_lossless_webp_is_told_from_lossy():
    assert facts_of(saved("WEBP", lossless=True)).format == "WEBP lossless"
    assert facts_of(saved("WEBP", quality=80)).format == "WEBP"
    assert facts_of(saved("WEBP", lossless=True, exif=Image.Exif().tobytes())).format == "WEBP lossless"
    assert facts_of(saved("PNG")).quality is None


def test_metadata_is_named_by_kind():
    exif = Image.Exif()
    exif[0x0131] = "a program"
    assert facts_of(saved("JPEG", exif=exif, xmp=b"<x/>", icc_profile=b"p" * 200)).metadata == ("EXIF", "XMP", "ICC")
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a prompt")
    text.add_itxt("XML:com.adobe.xmp", "<x/>")
    assert facts_of(saved("PNG", pnginfo=text)).metadata == ("XMP", "text")
    assert facts_of(saved("JPEG", comment=b"hello")).metadata == ("text",)
    assert facts_of(saved("PNG")).metadata == ()


def test_c2pa_boxes_and_text_behind_the_picture_are_seen():
    jpeg = saved("JPEG")
    box = b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa"
    segment = b"\xff\xeb" + (len(box) + 2).to_bytes(2, "big") + box
    assert facts_of(jpeg[:2] + segment + jpeg[2:]).metadata == ("C2PA",)
    png = saved("PNG")
    chunk = (5).to_bytes(4, "big") + b"tEXtk\0abc\0\0\0\0"
    assert facts_of(png[:-12] + chunk + png[-12:]).metadata == ("text",)


@pytest.mark.parametrize(
    ("data", "code"), [(b"hello", "D2F303"), (b"\xff\xd8\xff", "D2F304"), (saved("PNG")[:20], "D2F304")]
)
def test_what_is_no_image_has_its_code(data, code, tmp_path):
    with pytest.raises(D2FError) as error:
        facts_of(data, "a.jpg")
    assert error.value.problems[0].code == code
    (tmp_path / "b.jpg").write_bytes(data)
    with pytest.raises(D2FError, match=r"b\.jpg"):
        read_facts(str(tmp_path / "b.jpg"))

"""The 133 listed files: what d2f says of each against what the list says of it (read by c2pa-python and ExifTool)."""

from __future__ import annotations

import csv
import os
import re
from functools import cache
from math import log
from pathlib import Path

import numpy as np
import pytest
from d2f_provenance import evidence as states
from d2f_provenance.labels import SOURCE_TYPES
from d2f_provenance.reader import Provenance, ProvenanceOptions
from numpy.typing import NDArray

from d2f import D2FError, Evidence
from d2f.images.read import read_image
from tests.docs.pages import docs_script

FOLDER = Path(os.environ.get("D2F_DATA", "/nowhere")).parent / "provenance" / "files"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the provenance files are not beside the data")

TEXT, MARK = log(3), log(300)
AI, UNKNOWN_AI, CAMERA = log(1000), log(10), -log(100)


def rows() -> list[dict[str, str]]:
    if not FOLDER.is_dir():
        return []
    with open(FOLDER / "files.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = {row["file"]: row for row in rows()}


@cache
def stage(roots: bool) -> Provenance:
    """Return the stage with the shipped lists, or with the roots of the test certificates."""
    if not roots:
        return Provenance(ProvenanceOptions())
    names = ("c2pa-rs-test-roots.pem", "ms-validator-trusted-chain.pem", "ms-validator-digicert-tsa.pem")
    path = Path(os.environ["PYTEST_ROOTS"])
    path.write_text("".join((FOLDER / "trust" / name).read_text("utf-8") for name in names), "utf-8")
    return Provenance(ProvenanceOptions(trust_list=str(path)))


@pytest.fixture(scope="module", autouse=True)
def _roots(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["PYTEST_ROOTS"] = str(tmp_path_factory.mktemp("roots") / "roots.pem")


def read(name: str, roots: bool = False) -> list[Evidence]:
    path = FOLDER / name
    pixels: NDArray[np.uint8] | None
    try:
        pixels = read_image(str(path)).pixels
    except D2FError:
        pixels = None
    return list(stage(roots).read(path.read_bytes(), pixels))


def total(found: list[Evidence]) -> float:
    return sum(item.llr for item in found)


# Content Credentials: the verifier's own answers, as the list holds them, in d2f's words

IDENTITY = "c2pa-products/adobe-content-authenticity-2025.jpg", "c2pa-testroot/CAWG-identity.jpg"
"""The list's columns decode identity assertions, which fails offline; its text says Trusted without."""

HOSTILE_TIFF = "c2pa-broken/tiff_poc.tiff"
"""The verifier refuses the file; its directory holds no manifest, so that there is nothing to report."""


def expected_state(name: str, column: str) -> str | None:
    answer = ROWS[name][column]
    if name == HOSTILE_TIFF or answer == "no manifest":
        return None
    if answer.startswith("raises"):
        return states.ELSEWHERE if "Remote:" in answer else states.UNREADABLE
    if answer == "Trusted":
        return states.TRUSTED
    if answer.startswith("Valid"):
        return states.UNKNOWN_SIGNER
    codes = {code for code in re.findall(r"\w+\.[\w.]+", answer) if not code.startswith("cawg.")}
    codes.discard("signingCredential.untrusted")
    return states.DATE_NOT_CONFIRMED if codes == {"signingCredential.expired"} else states.CHANGED


@pytest.mark.parametrize("column", ["c2pa_and_interim", "test_roots"])
@pytest.mark.parametrize("name", ROWS)
def test_state_of_content_credentials(name: str, column: str) -> None:
    pytest.importorskip("c2pa")
    found = [item for item in read(name, column == "test_roots") if item.kind == "c2pa"]
    expected = expected_state(name, column)
    if name in IDENTITY and (name.startswith("c2pa-products") == (column == "c2pa_and_interim")):
        expected = states.TRUSTED
    assert [item.trust for item in found] == ([expected] if expected else [])


CLAIMS = {
    "c2pa-products/adobe-firefly-2024-https-uri.jpg": AI,
    "c2pa-products/adobe-firefly-2025.jpg": AI,
    "c2pa-products/google-ai-2026.jpg": AI,
    "c2pa-products/microsoft-bing-2024.jpg": AI,
    "c2pa-products/bfl-flux2-2026.jpg": UNKNOWN_AI,
}

CLAIMS_BY_TEST_ROOTS = {
    "made/c2pa-signed/ai-parent-active-says-nothing.jpg": AI,
    "made/c2pa-signed/ai-trained.avif": AI,
    "made/c2pa-signed/ai-trained.jpg": AI,
    "made/c2pa-signed/ai-trained.png": AI,
    "made/c2pa-signed/ai-trained.tiff": AI,
    "made/c2pa-signed/ai-trained.webp": AI,
    "made/c2pa-signed/ai-with-camera-input.jpg": AI,
    "made/c2pa-signed/camera-digitalCapture.jpg": CAMERA,
    "made/c2pa-signed/camera-then-crop.jpg": CAMERA,
    "made/c2pa-signed/phone-computationalCapture.jpg": CAMERA,
    "c2pa-testroot/CAWG-identity.jpg": CAMERA,
}


@pytest.mark.parametrize("name", [name for name in ROWS if "c2pa" in name])
def test_what_signed_claims_count(name: str) -> None:
    pytest.importorskip("c2pa")
    shipped = CLAIMS.get(name, UNKNOWN_AI if CLAIMS_BY_TEST_ROOTS.get(name) == AI else 0.0)
    assert total(read(name)) == pytest.approx(shipped)
    if not name.startswith("c2pa-products"):
        assert total(read(name, roots=True)) == pytest.approx(CLAIMS_BY_TEST_ROOTS.get(name, 0.0))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c2pa-products/google-ai-2026.jpg", ("Google LLC", "generative AI made", "C2PA trust list of 2026-08-05")),
        (
            "c2pa-products/microsoft-bing-2024.jpg",
            ("Microsoft Corporation", "generative AI made", "interim trust list"),
        ),
        ("c2pa-products/samsung-galaxy-s25-2026.png", ("Samsung Galaxy", "edited the picture or made a part of it")),
        ("c2pa-products/adobe-photoshop-edit-2025.jpg", ("Adobe Inc.", "nothing of how the picture was made")),
        ("made/c2pa-signed/camera-with-ai-component.jpg", ("a generated picture was placed into the picture",)),
        ("made/c2pa-signed/camera-then-generative-fill.jpg", ("edited the picture or made a part of it",)),
        ("made/stubs/gemini-2026-c2pa-stub.png", ("Google LLC", "generative AI made", "assertion.dataHash.mismatch")),
        ("made/stubs/openai-2025-c2pa-stub.png", ("OpenAI", "generative AI made", "changed since signing")),
    ],
)
def test_words_of_signed_claims(name: str, words: tuple[str, ...]) -> None:
    pytest.importorskip("c2pa")
    statement = next(item.statement for item in read(name) if item.kind == "c2pa")
    for each in words:
        assert each in statement
    assert statement.endswith("; revocation and expiry not checked offline.")


# Labels, texts, marks

KINDS = {
    "made/xmp-forms/": "iptc",
    "made/iim/": "iptc",
    "made/aigc/": "aigc-label",
    "made/exif/": "generator-text",
    "marks-exif/": "generator-text",
    "marks-png/": "generator-text",
    "made/stealth/": "generator-text",
    "made/watermark/": "invisible-mark",
    "made/stubs/doubao": "aigc-label",
    "made/stubs/jimeng": "aigc-label",
    "made/stubs/midjourney": "generator-text",
}

SILENT = {
    "made/stealth/negative-alpha255.png",
    "made/watermark/unmarked.png",
}

UNCOUNTED = {"made/aigc/tc260-xmp-label2.jpg", "made/aigc/tc260-xmp-label3.jpg"}
"""'May be' and 'suspected' state no generation."""


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in ROWS for start, kind in KINDS.items() if name.startswith(start)]
)
def test_labels_texts_and_marks(name: str, kind: str) -> None:
    found = read(name)
    if name in SILENT:
        assert found == []
        return
    assert kind in {item.kind for item in found}
    assert total(found) == pytest.approx(0.0 if name in UNCOUNTED else MARK if kind == "invisible-mark" else TEXT)


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("made/xmp-terms/")])
def test_source_types(name: str) -> None:
    term = Path(name).stem
    found = read(name)
    assert [SOURCE_TYPES[term].meaning in item.statement for item in found] == [True]
    assert total(found) == pytest.approx(TEXT if term == "trainedAlgorithmicMedia" else 0.0)


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith(("negatives/", "made/xmp-negative/"))])
def test_negatives(name: str) -> None:
    found = read(name)
    assert {item.kind for item in found} <= {"camera", "exif", "consistency"}
    assert total(found) == 0.0


def test_the_page_says_what_d2f_says_of_each_file() -> None:
    pytest.importorskip("c2pa")
    made = docs_script("make_provenance")
    page = made.PAGE.read_text("utf-8")
    assert page == made.page(FOLDER), "run: python docs/make_provenance.py $D2F_DATA/../provenance/files"
    assert "negatives: 0.**" in page


def test_no_listed_file_is_left_out() -> None:
    tested = [name for name in ROWS if name.startswith((*KINDS, "made/xmp-", "negatives/")) or "c2pa" in name]
    assert sorted(tested) == sorted(ROWS)
    assert len(ROWS) == 133

"""Heat maps and reports: where a chain finds what it looks for, what pages and records show, what is verified."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from PIL.ExifTags import IFD

import d2f
from d2f import Chain, ImageFile, WholeImage, load_chain
from d2f.api.inputs import Note
from d2f.api.outcomes import Evidence
from d2f.api.rows import Failure, Member, Missing, Row
from d2f.chain.words import disagreement_words, sentence, stage_titles
from d2f.explain import Explanation, explain_image, save
from d2f.explain.explain import Splice, splices
from d2f.explain.figures import bars, contribution_bars, overlay
from d2f.explain.map import MASKS, HeatMap, cell_edges, measure_map, reliability_mask
from d2f.explain.page import report_page, splice_words
from d2f.explain.record import image_of, report_of, report_schema, row_differences, scrubbed, verify
from d2f.images.memory import image_source, load
from d2f.plugins.catalog import Catalog
from tests.docs.pages import DOCS
from tests.unit.chain import stages

# Heat maps: where a chain finds what it looks for, and where a map is not to be relied on.

CHAIN = (
    "d2f: 1\nname: rough\nrequire: [{use: size, with: {short_side: 100}}]\ndetectors: [{use: rough}]\n"
    "calibrate: {rough/plain: {use: platt, with: {slope: 0.5, bias: -10}}}\n"
)


class Rough:
    name = "rough"
    summary = "Mean difference of neighbours."
    wants = WholeImage()
    Options = stages.NoOptions

    def __init__(self, options: stages.NoOptions) -> None:
        self.options = options

    def score(self, batch: Sequence[Any]) -> list[float]:
        return [roughness(view) for view in batch]


def roughness(pixels: Any) -> float:
    return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())


@pytest.fixture
def rough(tmp_path: Path) -> Chain:
    """A chain that takes rough pictures for generated."""
    (tmp_path / "chain.yaml").write_text(CHAIN)
    return load_chain(tmp_path / "chain.yaml", catalog=Catalog.of(*stages.STAGES, Rough))


def picture(height: int = 240, width: int = 320) -> ImageFile:
    """Weak noise, with a square of strong noise in the upper left quarter."""
    random = np.random.default_rng(0)
    pixels = random.normal(120, 8, (height, width, 3))
    pixels[20:100, 20:100] += random.normal(0, 40, (80, 80, 3))
    image = load(image_source(pixels.clip(1, 254).astype(np.uint8)))
    assert isinstance(image, ImageFile)
    return image


@pytest.mark.parametrize("kind", ["tiles", "occlusion"])
def test_a_map_is_highest_where_the_chain_sees_it(rough: Chain, kind: str) -> None:
    ticks: list[tuple[int, int]] = []
    found = measure_map(rough.plan, picture(), kind, lambda *tick: ticks.append(tick))  # type: ignore[arg-type]
    assert found is not None
    assert ticks[-1][0] == ticks[-1][1] == len(ticks)
    assert found.values.shape == (12, 16)
    row, column = np.unravel_index(np.argmax(found.values), found.values.shape)
    assert (row * 20 + 10 < 110, column * 20 + 10 < 110) == (True, True)
    assert np.median(found.values[7:, 8:]) < found.values.max() / 2


def test_the_ratio_of_a_tile_is_that_of_the_tile_as_a_picture(rough: Chain) -> None:
    image = picture(200, 200)
    found = measure_map(rough.plan, image, "tiles")
    assert found is not None
    assert found.side == 66  # less than the precondition asks for: tiles are no pictures of their own
    corner = rough.judge(image.pixels[:66, :66]).stages[0].score
    assert corner is None  # the precondition stands for whole pictures
    assert found.values[0, 0] == pytest.approx(0.5 * roughness(image.pixels[:66, :66]) - 10, abs=1e-9)


def test_a_small_picture_has_no_map(rough: Chain) -> None:
    image = load(image_source(np.random.default_rng(0).integers(0, 255, (80, 300, 3), dtype=np.uint8)))
    assert isinstance(image, ImageFile)
    assert measure_map(rough.plan, image, "tiles") is None


def test_masks() -> None:
    random = np.random.default_rng(0)
    pixels = random.normal(120, 20, (192, 192, 3)).clip(1, 254).astype(np.uint8)
    pixels[:64, :64] = 90
    pixels[:64, 64:128][random.random((64, 64)) < 0.5] = 255
    blocks = random.integers(20, 230, (8, 8, 3))
    pixels[:64, 128:] = blocks.repeat(8, axis=0).repeat(8, axis=1) + random.integers(-1, 2, (64, 64, 3))
    edges = cell_edges(192, 256)
    assert edges.tolist() == [0, 64, 128, 192]
    mask = reliability_mask(pixels, edges, edges)
    assert [MASKS[number - 1] for number in mask[0]] == ["flat", "clipped", "over-compressed"]
    assert not mask[1:].any()


def test_an_overlay_colours_what_can_be_relied_on() -> None:
    from io import BytesIO

    from PIL import Image

    values, mask = np.array([[1.0, -1.0], [1.0, np.nan]]), np.array([[0, 0], [1, 0]], np.uint8)
    drawn = np.asarray(
        Image.open(
            BytesIO(overlay(HeatMap("tiles", values, mask, 64), np.full((80, 80, 3), 128, np.uint8), 80))
        ).convert("RGB")
    ).astype(int)
    red, blue = drawn[:40, :40], drawn[:40, 40:]
    assert red[..., 0].mean() > red[..., 2].mean() + 50
    assert blue[..., 2].mean() > blue[..., 0].mean() + 50
    assert abs(drawn[40:, :, 0] - drawn[40:, :, 2]).max() < 10


# Reports: what a page shows, what a record holds and leaves out, and what verification finds.

PICTURE = DOCS / "tutorial" / "images" / "camera-like.jpg"
SECRET = "SN-0123456"


@pytest.fixture(scope="module")
def fast() -> d2f.Chain:
    return d2f.load_chain("fast")


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """The tutorial's picture with a place, a serial number and a prompt in its metadata."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Camera Works", "One"
    exif[0x0131] = "darktable /home/jane.doe/my bin SN 12345678"
    exif.get_ifd(IFD.Exif)[0xA431] = SECRET
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    folder = tmp_path / "private folder"
    folder.mkdir()
    Image.open(PICTURE).save(folder / "holiday.jpg", exif=exif, quality=92)
    return folder / "holiday.jpg"


def words(html: str) -> str:
    """The text of a page."""
    return " ".join(unescape(re.sub(r"<(style|svg)[\s\S]*?</\1>|<[^>]*>", " ", html)).split())


def test_a_page_says_what_how_sure_why_and_what_next(fast: d2f.Chain, photograph: Path) -> None:
    one = explain_image(fast, str(photograph), maps="tiles")
    html = one.html()
    text = words(html)
    for told in (
        "holiday.jpg",
        sentence(one.row)[1:],
        "The pixels give",
        *stage_titles(fast).values(),
        "What the file states about itself",
        "Camera Works",
        "Look for:",
        "Ignore:",
        "Hatched, not to be relied on: flat",
        "What next",
        one.row.sha256 or "-",
        fast.digest,
        "of photographs are called AI-generated",
        "Fitted on ",
    ):
        assert told in text, told
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert "url(" not in html
    assert "<script" not in html


def test_what_is_private_is_left_out_unless_asked_for(fast: d2f.Chain, photograph: Path, tmp_path: Path) -> None:
    for full in (False, True):
        one = explain_image(fast, str(photograph), maps="none", full=full)
        save([one], tmp_path / "report.html")
        html, record = (tmp_path / "report.html").read_text(), (tmp_path / "report.json").read_text()
        (tmp_path / "report.html").unlink()
        for secret in (SECRET, "48.0", "private folder", "jane.doe", "my bin", "12345678"):
            assert (secret in html) == full, secret
        assert "darktable" in html
        for secret in ("private folder", "jane.doe", "my bin", "12345678"):
            assert (secret in record) == full, secret
        assert ("--full): it" if full else "are left out of this report (--full)") in html or full
        assert "Exif" not in _embedded(html)


def _embedded(html: str) -> str:
    """The pictures of a page, as text of their bytes."""
    import base64

    return "".join(base64.b64decode(one).decode("latin-1") for one in re.findall(r"base64,([\w+/=]+)", html))


def test_contributions_add_up_to_the_probability(fast: d2f.Chain) -> None:
    chain = fast.with_prior(0.2)
    row = chain.judge(PICTURE)
    total = sum(nats for _, _, nats in contribution_bars(row, chain))
    assert 1 / (1 + math.exp(-total)) == pytest.approx(row.probability, abs=1e-4)
    assert "20 % AI-generated" in bars(row, chain)
    assert bars(Row("a", verdict="inconclusive"), chain) == ""


def every_kind() -> list[Row]:
    """Rows of every kind, some with words that must not become markup."""
    member = Member("noise", "plain", 1.0, 0.9, 2.0, seen=0.5)
    evidence = (Evidence("iptc", "<b>It says so.</b>", "XMP", "forgeable text", 1.1, "raw"),)
    return [
        Row("a/<script>.jpg", "0" * 64, 8, 8, "JPEG", 1, 0.97, "generated", 3.5, stages=(member,), evidence=evidence),
        Row("b.jpg", probability=None, verdict="inconclusive", notes=(Note("colour", "no colour"),)),
        Row("c.jpg", error=Failure("D2F304", "damaged: a/c.jpg")),
        Row("d.jpg", probability=0.5, verdict="inconclusive", llr=0.0, missing=(Missing("noise", "absent"),)),
        Row("e.jpg", stages=(Member("noise", "plain", abstained="too small"),), verdict="inconclusive"),
        Row("f.jpg", stages=(Member("noise", "plain", error=Failure("D2F401", "it broke")),), verdict="inconclusive"),
    ]


def test_every_kind_of_row_has_a_page_and_a_valid_record(fast: d2f.Chain) -> None:
    found = [Explanation(fast, row, None) for row in every_kind()]
    html = report_page(found)
    assert "<script" not in html
    assert "<b>It says so" not in html
    assert "damaged" in words(html)
    record = json.loads(json.dumps(report_of(fast, found, False)))
    Draft202012Validator.check_schema(report_schema())
    Draft202012Validator(report_schema()).validate(record)
    assert record["images"][0]["row"]["path"] == "<script>.jpg"
    assert record["images"][0]["row"]["evidence"][0]["raw"] == ""


def test_a_report_with_a_map_is_valid_and_verified(fast: d2f.Chain, photograph: Path, tmp_path: Path) -> None:
    save([explain_image(fast, str(photograph), maps="tiles")], tmp_path / "report.html")
    report = tmp_path / "report.json"
    record = json.loads(report.read_text())
    Draft202012Validator(report_schema()).validate(record)
    assert len(record["images"][0]["maps"]) == 1
    assert [(one.what, one.holds) for one in verify(str(report), str(photograph))] == [
        ("sha256", True),
        ("chain digest", True),
        ("chain", True),
        ("row", True),
    ]
    other = list(verify(str(report), str(PICTURE)))
    assert [(one.what, one.holds) for one in other] == [("sha256", False)]
    record["images"][0]["row"]["llr"] += 1.0
    record["chain"]["digest"] = "f" * 64
    report.write_text(json.dumps(record))
    changed = {one.what: one for one in verify(str(report), str(photograph))}
    assert [one.what for one in changed.values() if not one.holds] == ["chain digest", "row"]
    assert changed["row"].found.startswith("llr: ")


def test_a_forged_row_or_threshold_does_not_hold(fast: d2f.Chain, photograph: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    save([explain_image(fast.with_prior(0.2), str(photograph), maps="none")], tmp_path / "report.html")
    record = json.loads(report.read_text())
    assert all(one.holds for one in verify(str(report), str(photograph)))

    def differing(forged: dict[str, object]) -> list[tuple[str, str]]:
        report.write_text(json.dumps(forged))
        return [
            (one.what, one.found.split(" in the")[0]) for one in verify(str(report), str(photograph)) if not one.holds
        ]

    first = record["images"][0]
    second = {**first, "row": {**first["row"], "verdict": "forged"}}
    assert differing({**record, "images": [first, second]}) == [("row", 'verdict: "forged"')]
    for key, value in (("name", "other"), ("description", "never wrong"), ("generated_above", 0.1), ("miss_rate", 0)):
        found = differing({**record, "chain": {**record["chain"], key: value}})
        assert found == [("chain", f"fast: {key}: {json.dumps(value)}")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"report": 2}',
        '{"report": 1}',
        '{"report": 1, "chain": 3, "images": 4}',
        '{"report": 1, "chain": {"name": "", "origin": "", "digest": "", "prior": 2}, "images": []}',
        '{"report":1,"chain":{"name":"","origin":"","digest":"","prior":0.5},"images":[{"row":{"sha256":[]}}]}',
        '{"report": 1, "chain": {"name": "fast", "origin": 3, "digest": "", "prior": 0.5}, "images": []}',
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(d2f.D2FError, match="D2F608"):
        list(verify(str(tmp_path / "report.json"), str(PICTURE)))
    with pytest.raises(d2f.D2FError, match="D2F002"):
        list(verify(str(tmp_path / "none.json"), str(PICTURE)))


def test_an_image_that_is_not_there_is_not_that_of_a_row_without_a_digest(fast: d2f.Chain, tmp_path: Path) -> None:
    d2f.explain.explain_image(fast, tmp_path / "none.png", maps="none").save(tmp_path / "none.html")
    with pytest.raises(d2f.D2FError, match=r"D2F002.*none\.png"):
        list(verify(str(tmp_path / "none.json"), str(tmp_path / "none.png")))


def test_a_folder_with_the_name_of_a_word_leaves_the_words_of_a_row_alone() -> None:
    row = Row("real/a.png", notes=(Note("n", "the verdict is real, of real/a.png and real/b.png"),))
    assert scrubbed(row, False).notes[0].message == "the verdict is real, of a.png and …b.png"


def test_a_report_opens_no_file(
    fast: d2f.Chain, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report, own = tmp_path / "report.json", tmp_path / "own.yaml"
    own.write_text("not a chain: this line is private")
    save([explain_image(fast, str(photograph), maps="none")], tmp_path / "report.html")
    record = json.loads(report.read_text())
    for origin in (str(own), own.name):
        record["chain"]["origin"] = origin
        report.write_text(json.dumps(record))
        with pytest.raises(d2f.D2FError, match=r"D2F130.*own\.yaml(.|\n)*--chain FILE") as caught:
            list(verify(str(report), str(photograph)))
        assert "private" not in str(caught.value)
    (tmp_path / "fast").write_text("a file of a shipped chain's name")
    record["chain"]["origin"] = "fast"
    report.write_text(json.dumps(record))
    assert all(one.holds for one in verify(str(report), str(photograph)))


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("Written by: D:\\Jane Doe\\a.exe, today.", "Written by: …, today."),
        ("Written by: A One SN-0123456.", "Written by: A One …."),
        ("On file:///home/jane; on \\\\nas\\jane; on ~/a b.", "On …; on …; on ~…."),
        ("Kept at https://example.org/a, taken 2026-11-30, Tool/6.0 and/or 7.", ""),
    ],
)
def test_a_statement_shows_no_path_and_no_serial_number(statement: str, shown: str) -> None:
    row = Row("a", evidence=(Evidence("exif", statement, "EXIF", "forgeable text"),))
    assert scrubbed(row, False).evidence[0].statement == (shown or statement)
    assert scrubbed(row, True) == row


def test_rows_differ_beyond_rounding_only() -> None:
    row = image_of(Explanation(d2f.load_chain("fast"), every_kind()[0], None))["row"]
    assert list(row_differences(row, {**row, "llr": row["llr"] + 1e-5, "path": "elsewhere"}, "")) == []
    assert list(row_differences(row, {**row, "verdict": "real"}, "")) == [
        'verdict: "generated" in the report, "real" now'
    ]


def test_pixels_are_explained_and_verified_without_a_file(fast: d2f.Chain, tmp_path: Path) -> None:
    result = fast.judge(np.asarray(Image.open(PICTURE).convert("RGB")))
    explanation = result.explain(maps="none")
    assert sentence(result) in str(explanation)
    assert explanation._repr_html_().startswith("<iframe srcdoc=")
    explanation.save(tmp_path / "pixels.html")
    assert all(one.holds for one in verify(str(tmp_path / "pixels.json"), str(PICTURE)))
    import pickle

    with pytest.raises(ValueError, match="explain_image"):
        pickle.loads(pickle.dumps(result)).explain()


TWO_VIEWS = """\
d2f: 1
name: two-views
views: {half: [{use: resize, with: {factor: 0.5}}]}
detectors: [{id: noise, use: noise-statistics, views: [plain, half]}]
calibrate: {noise/plain: {use: platt}, noise/half: {use: platt}}
"""


def test_contradictions_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TWO_VIEWS, "utf-8")
    chain = d2f.load_chain(tmp_path / "two.yaml")
    (detector, first), (_, second), *_ = chain.plan.members
    row = Row("a", stages=(Member(detector, first, 1.0, 0.99, 1.0), Member(detector, second, -1.0, 0.01, -1.0)))
    title = stage_titles(chain)[detector]
    assert list(disagreement_words(row, chain)) == [
        f"{title} changes its answer with the view: AI-generated on the picture; no sign of generation on {second}"
    ]
    agreeing = Row("a", stages=(row.stages[0], Member(detector, second, 1.0, 0.98, 1.0)))
    assert list(disagreement_words(agreeing, chain)) == []


def test_a_map_is_shown_where_it_beats_chance_and_pasting() -> None:
    found = Splice("k", "fast", "tiles", 0.76, 0.63, 0.89, 29, 0.79, "2026-11-29")
    assert not found.helps
    assert splice_words(found).endswith("it finds parts that were pasted or saved otherwise, generated or not.")
    better = replace(found, control=0.55)
    assert better.helps
    assert splice_words(better).endswith("it helps to find generated parts.")
    assert splice_words(replace(found, low=0.4)).endswith("it does not beat chance.")
    assert {one.kind for one in splices() if one.chain == "fast"} <= {"tiles", "occlusion"}

"""The page in a real browser: pictures dropped, verdicts read, by keyboard, on a phone, while the server restarts."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from d2f import load_chain
from d2f.api.rows import VERDICT_WORDS
from tests.docs.pages import DOCS
from tests.serve.browser import browser, needs_browser
from tests.serve.serving import Running, serving

pytestmark = needs_browser

IMAGES = DOCS / "tutorial" / "images"
DRAWN = ("camera-like.jpg", "upsampled.jpg", "flat.png")
DROP = """files => {
    const carried = new DataTransfer();
    for (const [name, data] of files) {
        const bytes = Uint8Array.from(atob(data), one => one.charCodeAt(0));
        carried.items.add(new File([bytes], name));
    }
    const event = new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true});
    document.querySelector("#drop").dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(limits={"file_bytes": 200_000}) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Any, running: Running, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = chromium.new_context(**getattr(request, "param", {}))
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    opened.set_default_timeout(20_000)
    opened.goto(running.server.address)
    yield opened
    context.close()
    assert problems == []


def drop(page: Any, *names: str) -> None:
    page.evaluate(DROP, [(name, base64.b64encode((IMAGES / name).read_bytes()).decode()) for name in names])


def verdict(page: Any, name: str) -> str:
    card = page.locator("#pictures > li", has_text=name)
    card.and_(page.locator(":not([data-verdict=busy])")).wait_for()
    return card.locator(".verdict strong").inner_text()


def test_pictures_are_dropped_and_their_verdicts_read(page: Any) -> None:
    drop(page, *DRAWN)
    assert page.locator("#pictures > li").count() == 3
    local = {row.path: row.verdict for row in load_chain("fast").run([str(IMAGES / name) for name in DRAWN])}
    for name in DRAWN:
        assert verdict(page, name) == VERDICT_WORDS[local[str(IMAGES / name)] or ""]
    card = page.locator("#pictures > li", has_text="flat.png")
    assert "not photographic" in card.locator(".sentence").inner_text()
    assert "most files state nothing" in card.locator(".file").inner_text()
    assert "no proof of a camera" in page.locator("#legend").inner_text()
    page.reload()
    page.locator("#past summary").click()
    assert page.locator("#history li").count() == 3
    page.locator("#forget").click()
    assert not page.locator("#past").is_visible()


def test_what_cannot_be_judged_says_why(page: Any) -> None:
    page.set_input_files(
        "#files",
        [
            {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(300_000)},
            {"name": "words.jpg", "mimeType": "image/jpeg", "buffer": b"only words"},
        ],
    )
    assert verdict(page, "large.jpg") == verdict(page, "words.jpg") == "not judged"
    assert "too large" in page.locator("#pictures > li", has_text="large.jpg").inner_text()
    assert (
        "text, not an image in a format that d2f reads"
        in page.locator("#pictures > li", has_text="words.jpg").inner_text()
    )


def test_what_a_damaged_file_states_is_shown(page: Any) -> None:
    stated = PngInfo()
    stated.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512")
    buffer = io.BytesIO()
    with Image.open(IMAGES / "camera-like.jpg") as image:
        image.save(buffer, "PNG", pnginfo=stated)
    damaged = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    page.set_input_files("#files", [{"name": "damaged.png", "mimeType": "image/png", "buffer": damaged}])
    assert verdict(page, "damaged.png") == "not judged"
    assert "D2F304" in page.locator(".sentence").inner_text()
    assert "generation parameters" in page.locator(".file").inner_text()


def test_a_map_is_opened_over_the_picture_and_the_report_is_saved(page: Any) -> None:
    drop(page, "camera-like.jpg")
    verdict(page, "camera-like.jpg")
    page.get_by_role("button", name="Look closer").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("No map is shown").wait_for()
    assert "--map" not in dialog.inner_text()  # of the command line, which the page has a button for
    assert page.locator("#above").evaluate("one => one.naturalWidth") == page.locator("#below").evaluate(
        "one => one.naturalWidth"
    )
    dialog.get_by_role("button", name="Measure a map all the same").click()
    dialog.locator("option", has_text="Map:").first.wait_for(state="attached")
    assert dialog.get_by_text("Look for:").is_visible()
    assert dialog.get_by_text("Ignore:").is_visible()
    assert dialog.get_by_text("Orange speaks for AI-generated").is_visible()
    slider = dialog.get_by_label("How much of it")
    before = page.locator("#above").evaluate("one => one.style.opacity")
    slider.press("ArrowLeft")
    assert float(page.locator("#above").evaluate("one => one.style.opacity")) < float(before)
    boxes = [page.locator(name).bounding_box() for name in ("#below", "#above")]
    assert boxes[0] == boxes[1]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the report").click()
    assert saved.value.suggested_filename == "camera-like.jpg.report.html"
    report = Path(saved.value.path()).read_text("utf-8")
    assert "no sign of generation" in report
    assert "<script" not in report
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*', report) == []


def test_by_keyboard_alone(page: Any) -> None:
    page.wait_for_load_state("networkidle")
    page.bring_to_front()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    chosen: list[Any] = []
    page.on("filechooser", lambda chooser: chosen.append(chooser))
    # On a busy machine a first key can be lost, as it can for a person, who presses again.
    for _ in range(3):
        page.keyboard.press("Enter")
        for _ in range(60):
            if chosen:
                break
            page.wait_for_timeout(100)
        if chosen:
            break
    chosen[0].set_files([IMAGES / "camera-like.jpg"])
    assert verdict(page, "camera-like.jpg") == "no sign of generation"
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    assert "support for a camera image" in page.locator(".reasons").inner_text()
    assert "camera-like.jpg" in page.locator("#status").inner_text()


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}], indirect=True
)
def test_on_a_phone_nothing_is_cut_off_and_buttons_are_large(page: Any) -> None:
    drop(page, *DRAWN)
    verdict(page, "flat.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    low = "[...document.querySelectorAll('button, .button')].filter(one => one.offsetParent && one.offsetHeight < 44)"
    assert page.evaluate(f"{low}.length") == 0
    page.get_by_role("button", name="Look closer").last.click()
    page.get_by_role("button", name="Measure a map all the same").click()
    page.locator("option", has_text="Map:").first.wait_for(state="attached")
    assert page.evaluate("(one => one.scrollWidth - one.clientWidth)(document.querySelector('#closer'))") == 0


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_words_stand_out_in_light_and_dark(page: Any) -> None:
    drop(page, *DRAWN)
    verdict(page, "flat.png")
    found = page.evaluate(
        """() => {
            const light = text => {
                const parts = text.match(/\\d+/g).slice(0, 3).map(one => one / 255);
                const linear = parts.map(one => one <= .03928 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4);
                return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2];
            };
            const behind = one => {
                const colour = getComputedStyle(one).backgroundColor;
                return colour === "rgba(0, 0, 0, 0)" ? behind(one.parentElement) : colour;
            };
            const seen = [...document.querySelectorAll("p, strong, li, h1, h2, summary, button, label")];
            return seen.filter(one => one.offsetParent && one.innerText.trim()).map(one => {
                const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => a - b);
                return [(pair[1] + .05) / (pair[0] + .05), one.innerText.slice(0, 30)];
            }).filter(one => one[0] < 4.5);
        }"""
    )
    assert found == []


def test_a_server_that_restarts_costs_nothing(chromium: Any) -> None:
    with ExitStack() as first:
        running = first.enter_context(serving())
        port, context = running.port, chromium.new_context()
        page = context.new_page()
        page.goto(running.server.address)
        page.locator("#legend li").first.wait_for(state="attached")
        first.close()
        drop(page, "camera-like.jpg")
        page.get_by_text("The server does not answer.").wait_for()
    with serving(port=port):
        assert verdict(page, "camera-like.jpg") == "no sign of generation"
    context.close()


def test_signing_in(chromium: Any) -> None:
    with serving(token="a token of this test") as running:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(running.server.address)
        page.get_by_label("Token").fill("another token")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("Token").fill("a token of this test")
        page.keyboard.press("Enter")
        page.get_by_text("Chain fast:").wait_for()
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        context.close()

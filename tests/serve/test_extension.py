"""The browser extension of docs/how-to/serve, in a real browser: it has a verdict where its origin is let in."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from tests.docs.pages import DOCS
from tests.serve.browser import extended, needs_browser
from tests.serve.serving import serving

pytestmark = needs_browser

KEPT = DOCS / "how-to" / "extension"


def identifier(folder: Path) -> str:
    """Return the identifier that Chromium gives an unpacked extension: of its path's digest, in letters a to p."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:32]
    return "".join(chr(ord("a") + int(digit, 16)) for digit in digest)


def verdict(worker: Any) -> str:
    data = base64.b64encode((DOCS / "tutorial" / "images" / "flat.png").read_bytes()).decode()
    return worker.evaluate("address => judge(address)", f"data:image/png;base64,{data}")


def test_it_asks_the_server_that_lets_it_in(tmp_path: Path) -> None:
    folder = (tmp_path / "extension").resolve()
    folder.mkdir()
    with serving(allow_origin=(f"chrome-extension://{identifier(folder)}",)) as running, serving() as strict:
        for name in ("manifest.json", "background.js"):
            text = (KEPT / name).read_text("utf-8")
            assert "127.0.0.1:8000" in text
            (folder / name).write_text(text.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}"), "utf-8")
        with extended(folder, tmp_path / "profile") as context:
            worker = context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
            assert worker.url == f"chrome-extension://{identifier(folder)}/background.js"
            assert verdict(worker).startswith("inconclusive: not photographic")
        assert (
            strict.ask("POST", "/v1/judge", b"x", {"origin": f"chrome-extension://{identifier(folder)}"}).status == 403
        )

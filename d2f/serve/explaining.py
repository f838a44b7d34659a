"""What `?explain=1` answers: a picture's maps, its views and its report, made in a worker process."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import TypedDict

from d2f.api.inputs import Bounds
from d2f.api.rows import Failure
from d2f.chain.chain import Chain
from d2f.chain.words import MAP_TITLES, view_words
from d2f.explain.explain import Explanation, MapChoice, explain_image
from d2f.explain.figures import overlay
from d2f.explain.page import PICTURE_SIDE, map_lines, no_map
from d2f.images.memory import InMemory
from d2f.report.page import data_address, small_jpeg


@dataclass(frozen=True, slots=True)
class Explain:
    """A request to a worker: judge one picture, and say why."""

    image: InMemory
    maps: MapChoice


class DrawnMap(TypedDict):
    """A map over the picture in grey: a PNG as a data address, and what is to be known of it."""

    kind: str
    title: str
    image: str
    lines: list[str]


class DrawnView(TypedDict):
    """A view that some detector looks at: a JPEG as a data address, and what it is."""

    name: str
    words: str
    image: str


class Told(TypedDict):
    """An explanation as a client is given it; `report` is a page that is complete in itself."""

    maps: list[DrawnMap]
    no_map: str
    views: list[DrawnView]
    report: str
    error: dict[str, str] | None


def explanation_told(chain: Chain, request: Explain, bounds: Bounds) -> Told:
    """Return why a picture has its verdict."""
    found = explain_image(chain, request.image, maps=request.maps, bounds=bounds)
    maps, views = _maps(found), _drawn_views(found)
    return {"maps": maps, "no_map": no_map(found.chain, ""), "views": views, "report": found.html(), "error": None}


def unexplained(failure: Failure) -> Told:
    """Return that there is no explanation."""
    error = {"code": failure.code, "message": failure.message}
    return {"maps": [], "no_map": failure.message, "views": [], "report": "", "error": error}


def _maps(found: Explanation) -> list[DrawnMap]:
    if found.image is None:
        return []
    return [
        {
            "kind": one.kind,
            "title": MAP_TITLES[one.kind],
            "image": data_address(overlay(one, found.image.pixels, PICTURE_SIDE), "png"),
            "lines": map_lines(found.chain, one),
        }
        for one in found.maps
    ]


def _drawn_views(found: Explanation) -> list[DrawnView]:
    return [
        {
            "name": name,
            "words": view_words(found.chain, name),
            "image": data_address(small_jpeg(pixels, PICTURE_SIDE), "jpeg"),
        }
        for name, pixels in found.views().items()
    ]

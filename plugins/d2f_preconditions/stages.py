"""The checks: options with the fitted thresholds, what is measured, and the reason in words.

Each looks at a bounded part of the picture (`d2f_preconditions.sampling`), so that its cost does not grow with the
picture. `measure` returns the figures that `check` compares; `docs/make_preconditions.py` fits the thresholds on
training images by leaving collections out, and reports what they refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from d2f import Abstention, ImageFile, Options
from d2f_preconditions.fitted import PHOTOGRAPHIC_LIMIT

Figures = Mapping[str, float]


class Measuring:
    """A check that measures an image and judges the figures."""

    thread_safe = True

    def measure(self, image: ImageFile) -> Figures:
        """Return the figures that the check compares with its limits."""
        raise NotImplementedError

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse an image with these figures, None to pass it."""
        raise NotImplementedError

    def check(self, image: ImageFile) -> Abstention | None:
        """Return None where the image passes, else the reason with the figure that was measured."""
        reason = self.refusal(self.measure(image))
        return None if reason is None else Abstention(reason)


class ColourOptions(Options):
    """Limits of `colour`."""

    grey: float = Field(
        default=3.5, ge=0, le=255, description="Refuse where the channels' means differ by at most this many levels."
    )
    areas: float = Field(
        default=3.0,
        ge=0,
        le=255,
        description="Refuse where those of areas of 32x32 sampled pixels differ by at most this: grey under noise.",
    )
    tone: float = Field(
        default=1.6, ge=0, le=255, description="Refuse one tone: colours within this many levels of one curve."
    )
    tone_share: float = Field(
        default=0.12, ge=0, le=1, description="One tone: at most this share of the distance from grey, too."
    )
    accent: float = Field(
        default=2.2, ge=0, le=255, description="One tone: all but 2 % of them within this many levels, too."
    )
    tone_range: float = Field(
        default=60.0, ge=0, le=255, description="One tone: over a range of at least this many levels of brightness."
    )


class Colour(Measuring):
    """A picture in colour: not grey, and not sepia or another single tone, however it is stored."""

    name = "colour"
    summary = "The picture has colours: not grey, sepia or duotone."
    Options = ColourOptions

    def __init__(self, options: ColourOptions) -> None:
        self.options = options

    def measure(self, image: ImageFile) -> Figures:
        """Return the figures of `d2f_preconditions.colour.colour_statistics`, in grey levels."""
        from d2f_preconditions.colour import colour_statistics

        return colour_statistics(image.pixels)

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse a picture that is grey or has one tone."""
        limits = self.options
        if found["channels"] <= limits.grey:
            return f"no colour: nearly everywhere the channels differ by at most {found['channels']:.1f} of 255"
        if found["areas"] <= limits.areas:
            return f"no colour but noise: over nearly all areas they differ by at most {found['areas']:.1f} of 255"
        within = min(limits.tone, limits.tone_share * found["chroma"])
        plain = found["accent"] <= limits.accent and found["range"] >= limits.tone_range
        if found["chroma"] >= 4 and found["tone"] <= within and plain:
            return (
                f"one tone, as sepia: at each brightness the colours differ by {found['tone']:.1f} of 255, "
                f"at a distance of {found['chroma']:.0f} from grey"
            )
        return None


class PhotographicOptions(Options):
    """Limit of `photographic`."""

    limit: float = Field(
        default=PHOTOGRAPHIC_LIMIT,
        description="Refuse from this score on; see `d2f_preconditions.graphics.graphics_score`.",
    )


class Photographic(Measuring):
    """A picture that a camera may have taken: no chart, screen, drawing, text, code, ramp, noise or flat area."""

    name = "photographic"
    summary = "The picture is photographic: no chart, screen, drawing, text, code, ramp, noise or flat area."
    Options = PhotographicOptions

    def __init__(self, options: PhotographicOptions) -> None:
        self.options = options

    def measure(self, image: ImageFile) -> Figures:
        """Return `score` and the figures of `d2f_preconditions.graphics.graphics_statistics`."""
        from d2f_preconditions.graphics import graphics_score, graphics_statistics

        found = graphics_statistics(image.pixels)
        return {"score": graphics_score(found), **found}

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse a graphic, with the figure that says most against a photograph."""
        if found["score"] < self.options.limit:
            return None
        from d2f_preconditions.graphics import strongest

        return (
            f"not photographic: {strongest(found)}; score {found['score']:.1f}, refused from {self.options.limit:.1f}"
        )


class DegradedOptions(Options):
    """Limits of `degraded`."""

    blocks: float = Field(
        default=2.2, ge=1, description="Refuse where steps at JPEG's block edges are this many times the others."
    )
    near: float = Field(
        default=0.53,
        ge=0,
        le=2,
        description="Enlarged: differences of neighbours over those two apart are at most this.",
    )
    coarse: float = Field(
        default=0.56, ge=0, le=10, description="Enlarged: detail of the second octave over the third is at most this."
    )
    nearest: float = Field(
        default=0.51, ge=0, le=2, description="Enlarged whatever `coarse` is: `near`'s figure is at most this."
    )
    colours: int = Field(
        default=256, ge=0, description="A dithered palette: at most this many colours in a sample of the pixels,"
    )
    dithered: float = Field(default=0.6, ge=0, le=2, description="and `near`'s figure at least this.")
    pattern: float = Field(
        default=4.0,
        gt=0,
        description="Refuse where a fine regular pattern, as of a print's screen, stands out by this many nepers.",
    )


class Degraded(Measuring):
    """A picture that is not degraded beyond use: no blocks, no blur or repeated pixels of enlargement, no palette."""

    name = "degraded"
    summary = "The picture is not degraded beyond use: no strong blocks, no strong enlargement, palette or print."
    Options = DegradedOptions

    def __init__(self, options: DegradedOptions) -> None:
        self.options = options

    def measure(self, image: ImageFile) -> Figures:
        """Return the ratios of `d2f_preconditions.degraded.degraded_statistics`."""
        from d2f_preconditions.degraded import degraded_statistics

        return degraded_statistics(image.pixels)

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse a picture whose detail is lost."""
        limits = self.options
        if found["near"] <= (limits.near if found["coarse"] <= limits.coarse else limits.nearest):
            return f"strongly enlarged: neighbouring pixels differ by {found['near']:.3f} of what pixels two apart do"
        if found["blocks"] >= limits.blocks:
            return (
                f"strongly compressed: steps at the edges of 8x8 blocks are {found['blocks']:.1f} times the others, "
                f"refused from {limits.blocks:.1f}"
            )
        if 1 < found["colours"] <= limits.colours and found["near"] >= limits.dithered:
            return f"a dithered palette: {found['colours']:.0f} colours in a sample of its pixels"
        if found["pattern"] >= limits.pattern:
            return (
                f"a fine regular pattern over all of it, as of a print: {found['pattern']:.1f} nepers above its "
                f"surroundings, refused from {limits.pattern:.1f}"
            )
        return None


MOST_BLURRED = 0.8
"""Share beyond which blurred margins are none, but a picture without fine detail."""


class FramedOptions(Options):
    """Limits of `framed`."""

    sides: int = Field(default=2, ge=1, le=4, description="Refuse from this number of sides with a straight border.")
    blurred: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Refuse where bars without detail, equal on two sides, take at least this share: blurred margins.",
    )
    bands: float = Field(
        default=0.015,
        gt=0,
        le=1,
        description="Refuse where bars or gutters take at least this share of rows or columns.",
    )


class Framed(Measuring):
    """A picture that fills its file: no border, caption bars, interface, contact sheet or scan on white."""

    name = "framed"
    summary = "The picture fills its file: no border, bars, interface, contact sheet or scan on white."
    Options = FramedOptions

    def __init__(self, options: FramedOptions) -> None:
        self.options = options

    def measure(self, image: ImageFile) -> Figures:
        """Return the figures of `d2f_preconditions.framed.framed_statistics`."""
        from d2f_preconditions.framed import framed_statistics

        return framed_statistics(image.pixels)

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse a framed picture."""
        limits = self.options
        if found["sides"] >= limits.sides:
            return f"framed: {found['sides']:.0f} sides have a border that ends in a straight line"
        if found["bands"] >= limits.bands:
            return f"framed: bars of one colour take {found['bands']:.0%} of its rows or columns"
        if limits.blurred <= found["blurred"] <= MOST_BLURRED:
            return f"framed: blurred margins take {found['blurred']:.0%} of its rows or columns"
        return None


class SizeOptions(Options):
    """Limit of `size`."""

    short_side: int = Field(default=190, ge=1, description="Refuse a picture whose shorter side has fewer pixels.")


class Size(Measuring):
    """A picture with enough pixels on its shorter side."""

    name = "size"
    summary = "The shorter side has enough pixels."
    Options = SizeOptions

    def __init__(self, options: SizeOptions) -> None:
        self.options = options

    def measure(self, image: ImageFile) -> Figures:
        """Return the shorter side in pixels."""
        return {"short_side": float(min(image.width, image.height))}

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse a picture that is too narrow."""
        if found["short_side"] >= self.options.short_side:
            return None
        return f"its shorter side has {found['short_side']:.0f} pixels; at least {self.options.short_side} are needed"


class ThumbnailOptions(Options):
    """Limit of `thumbnail`."""

    long_side: int = Field(default=224, ge=1, description="Refuse a picture whose longer side has fewer pixels.")


class Thumbnail(Measuring):
    """A picture that is no thumbnail: a whole scene on few pixels has lost what detectors look at."""

    name = "thumbnail"
    summary = "The picture is no thumbnail."
    Options = ThumbnailOptions

    def __init__(self, options: ThumbnailOptions) -> None:
        self.options = options

    def measure(self, image: ImageFile) -> Figures:
        """Return the longer side in pixels."""
        return {"long_side": float(max(image.width, image.height))}

    def refusal(self, found: Figures) -> str | None:
        """Return the reason to refuse a thumbnail."""
        if found["long_side"] >= self.options.long_side:
            return None
        return (
            f"a thumbnail: its longer side has {found['long_side']:.0f} pixels; "
            f"at least {self.options.long_side} are needed"
        )

"""The stages: options checked, arithmetic loaded when it is needed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from d2f import Options, Pixels

Level = Annotated[int, Field(ge=0, le=255)]


class ScanOptions(Options):
    """Options of `scan`."""

    tilt: float = Field(default=0.7, ge=-45, le=45, description="Degrees, counter-clockwise, on white.")
    noise: float = Field(
        default=6.0, ge=0, le=100, description="Standard deviation of the scanner's noise, grey levels."
    )
    colour: bool = Field(default=False, description="Keep the colours, as a colour scanner does.")


class Scan:
    """A print scanned: grey, contrast stretched, tilted on white, noise."""

    name = "scan"
    summary = "A scan of a print: grey, stretched contrast, tilted on white, noise."
    Options = ScanOptions
    thread_safe = True

    def __init__(self, options: ScanOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the scan, uint8 (height', width', 3), larger by the tilt; the same `seed` gives the same noise."""
        from d2f_everyday.edits import scan

        return scan(pixels, self.options.tilt, self.options.noise, self.options.colour, seed)


class MessengerOptions(Options):
    """Options of `messenger`."""

    quality: int = Field(default=60, ge=1, le=100, description="JPEG quality on libjpeg's scale, 1 to 100.")
    longest: int = Field(default=1280, ge=1, le=65500, description="Longest side at most this many pixels.")


class Messenger:
    """A picture sent by a messenger: reduced, then JPEG with 4:2:0 chroma."""

    name = "messenger"
    summary = "What a messenger sends: longest side 1280 pixels, JPEG of quality 60."
    Options = MessengerOptions
    thread_safe = True

    def __init__(self, options: MessengerOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture as it arrives, uint8 (height', width', 3); `seed` is not used."""
        from d2f_everyday.edits import jpeg, reduce

        return jpeg(reduce(pixels, self.options.longest), self.options.quality)


class CaptionOptions(Options):
    """Options of `caption`."""

    at: Literal["inside", "outside"] = Field(
        default="inside", description="Bars over the picture, or added above and below it."
    )
    height: float = Field(default=0.08, gt=0, le=0.4, description="Height of a bar as a share of the picture's.")
    text: str = Field(default="WHEN THE BUILD IS GREEN", max_length=200, description="Written across each bar.")


class Caption:
    """Two black bars with white text, above and below, as on a meme."""

    name = "caption"
    summary = "Black bars with white text above and below, over the picture or beside it."
    Options = CaptionOptions
    thread_safe = True

    def __init__(self, options: CaptionOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the captioned picture, uint8 (height', width, 3); `seed` is not used."""
        from d2f_everyday.edits import caption

        return caption(pixels, self.options.height, self.options.text, inside=self.options.at == "inside")


class FrameOptions(Options):
    """Options of `frame`."""

    width: float = Field(default=0.08, gt=0, le=1, description="Width of the border as a share of the shorter side.")
    colour: tuple[Level, Level, Level] = Field(
        default=(255, 255, 255), description="[red, green, blue], each 0 to 255."
    )


class Frame:
    """A border of one colour around the picture."""

    name = "frame"
    summary = "A border of one colour around the picture."
    Options = FrameOptions
    thread_safe = True

    def __init__(self, options: FrameOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the framed picture, uint8 (height', width', 3); `seed` is not used."""
        from d2f_everyday.edits import frame

        return frame(pixels, self.options.width, self.options.colour)


class ScreenshotOptions(Options):
    """Options of `screenshot`."""

    dark: bool = Field(default=False, description="Light text on dark panels.")


class Screenshot:
    """The picture in a window: a bar above, a panel with lines of text beside it, margins around it."""

    name = "screenshot"
    summary = "The picture shown in a window, with a title bar, a side panel and margins."
    Options = ScreenshotOptions
    thread_safe = True

    def __init__(self, options: ScreenshotOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the screenshot, uint8 (height', width', 3); `seed` is not used."""
        from d2f_everyday.edits import screenshot

        return screenshot(pixels, self.options.dark)


class EnlargeOptions(Options):
    """Options of `enlarge`."""

    factor: float = Field(default=4.0, ge=1, le=16, description="The middle is enlarged by this, 1 to 16.")
    filter: Literal["bilinear", "bicubic", "lanczos"] = Field(default="bicubic", description="Pillow's resampling.")


class Enlarge:
    """The middle of the picture, enlarged to about the picture's size."""

    name = "enlarge"
    summary = "The middle of the picture, enlarged by a factor to about the picture's size."
    Options = EnlargeOptions
    thread_safe = True

    def __init__(self, options: EnlargeOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the enlarged middle, uint8 (height', width', 3); `seed` is not used."""
        from d2f_everyday.edits import enlarge

        return enlarge(pixels, self.options.factor, self.options.filter)


class ThumbnailOptions(Options):
    """Options of `thumbnail`."""

    longest: int = Field(default=160, ge=1, le=65500, description="Longest side at most this many pixels.")
    quality: int = Field(default=80, ge=1, le=100, description="JPEG quality on libjpeg's scale, 1 to 100.")


class Thumbnail:
    """A small copy, as JPEG."""

    name = "thumbnail"
    summary = "A small copy: longest side 160 pixels, JPEG of quality 80."
    Options = ThumbnailOptions
    thread_safe = True

    def __init__(self, options: ThumbnailOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the small copy, uint8 (height', width', 3); `seed` is not used."""
        from d2f_everyday.edits import jpeg, reduce

        return jpeg(reduce(pixels, self.options.longest), self.options.quality)


class ShiftOptions(Options):
    """Options of `shift`."""

    pixels: int = Field(default=1, ge=1, le=7, description="Rows and columns cut off above and at the left, 1 to 7.")


class Shift:
    """A crop off JPEG's grid of 8 pixels, as nearly every editor's crop is."""

    name = "shift"
    summary = "A crop of 1 to 7 rows and columns, so that the picture leaves JPEG's grid of 8 pixels."
    Options = ShiftOptions
    thread_safe = True

    def __init__(self, options: ShiftOptions) -> None:
        self.pixels = options.pixels

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the crop, uint8 (height - pixels, width - pixels, 3), at least 1x1; `seed` is not used."""
        top, left = (min(self.pixels, side - 1) for side in pixels.shape[:2])
        return pixels[top:, left:].copy()


class SepiaOptions(Options):
    """Options of `sepia`."""

    amount: float = Field(default=1.0, gt=0, le=1, description="From above 0 (unchanged) to 1.")


class Sepia:
    """Shades of brown, the sepia of browsers."""

    name = "sepia"
    summary = "Shades of brown in place of the colours."
    Options = SepiaOptions
    thread_safe = True

    def __init__(self, options: SepiaOptions) -> None:
        self.amount = options.amount

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the brown picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_everyday.edits import sepia

        return sepia(pixels, self.amount)


class CameraOptions(Options):
    """Options of `camera`."""

    photons: float = Field(
        default=2000.0, gt=0, description="Electrons that white makes in one sensor pixel: fewer, more noise."
    )
    read: float = Field(default=4.0, ge=0, le=1000, description="Standard deviation of the read noise, electrons.")
    contrast: float = Field(default=0.15, ge=0, le=1, description="Share of an S curve in the tone curve.")


class Camera:
    """The picture taken again by a simulated camera."""

    name = "camera"
    summary = "A simulated camera: Bayer mosaic, shot and read noise, demosaicking, tone curve."
    Options = CameraOptions
    thread_safe = True

    def __init__(self, options: CameraOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture retaken, uint8 (height, width, 3); the same `seed` gives the same noise."""
        from d2f_everyday.remaking import camera

        return camera(pixels, self.options.photons, self.options.read, self.options.contrast, seed)


class SpectrumTransferOptions(Options):
    """Options of `spectrum-transfer`."""

    strength: float = Field(default=1.0, gt=0, le=1, description="Share of the way, in log amplitude, above 0 to 1.")
    limit: float = Field(default=4.0, ge=1, le=100, description="No frequency is changed by more than this factor.")


class SpectrumTransfer:
    """The amplitude spectrum moved to the mean one of photographs."""

    name = "spectrum-transfer"
    summary = "Amplitudes moved to the mean radial spectrum of photographs; the phases stay."
    Options = SpectrumTransferOptions
    thread_safe = True

    def __init__(self, options: SpectrumTransferOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture with its new spectrum, uint8 (height, width, 3); `seed` is not used."""
        from d2f_everyday.remaking import spectrum_transfer

        return spectrum_transfer(pixels, self.options.strength, self.options.limit)


class HistogramMatchOptions(Options):
    """Options of `histogram-match`."""

    strength: float = Field(default=0.5, gt=0, le=1, description="Share of the way to the new level, above 0 to 1.")


class HistogramMatch:
    """The levels of each channel mapped to the mean histogram of photographs."""

    name = "histogram-match"
    summary = "The levels of each channel mapped to the mean histogram of photographs."
    Options = HistogramMatchOptions
    thread_safe = True

    def __init__(self, options: HistogramMatchOptions) -> None:
        self.strength = options.strength

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture with its new histogram, uint8 (height, width, 3); `seed` is not used."""
        from d2f_everyday.remaking import histogram_match

        return histogram_match(pixels, self.strength)


class SharpenOptions(Options):
    """Options of `sharpen`."""

    factor: float = Field(default=2.0, ge=1, le=4, description="The picture is reduced by this and restored, 1 to 4.")
    steps: int = Field(default=8, ge=0, le=50, description="Steps of back-projection.")
    amount: float = Field(default=0.5, ge=0, le=4, description="Share of the unsharp mask that is added at the end.")


class Sharpen:
    """The picture reduced, and restored with new fine detail, as super-resolution programs do."""

    name = "sharpen"
    summary = "The picture reduced, restored by back-projection and sharpened, as super-resolution does."
    Options = SharpenOptions
    thread_safe = True

    def __init__(self, options: SharpenOptions) -> None:
        self.options = options

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the restored picture, uint8 (height, width, 3); `seed` is not used."""
        from d2f_everyday.remaking import sharpen

        return sharpen(pixels, self.options.factor, self.options.steps, self.options.amount)

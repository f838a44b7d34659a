"""Pictures that no camera took: charts, pages of text, screens, codes, drawings, ramps, noise; all from a seed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Random = np.random.Generator
Picture = Image.Image

WORDS = """the of and a to in is it for as was with his they be at one have this from or had by hot word but what some
we can out other were all there when up use your how said an each she which do their time if will way about many then
them write would like so these her long make thing see him two has look more day could go come did number sound"""
"""Common words to fill lines with."""


def _colour(random: Random, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = random.integers(low, high, 3)
    return int(red), int(green), int(blue)


def _paper(random: Random) -> tuple[int, int, int]:
    return (255, 255, 255) if random.random() < 0.6 else _colour(random, 200)


def _size(random: Random) -> tuple[int, int]:
    width, height = random.integers(360, 900, 2)
    return int(width), int(height)


def _blank(random: Random, colour: tuple[int, int, int] | None = None) -> tuple[Picture, ImageDraw.ImageDraw]:
    image = Image.new("RGB", _size(random), _paper(random) if colour is None else colour)
    return image, ImageDraw.Draw(image)


def _font(random: Random, size: int) -> Any:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif-Italic.ttf")
    return ImageFont.truetype(str(folder / names[random.integers(len(names))]), size)


def _line(random: Random, count: int) -> str:
    words = WORDS.split()
    return " ".join(words[at] for at in random.integers(len(words), size=max(1, count)))


def _write(
    draw: ImageDraw.ImageDraw, random: Random, box: tuple[int, int, int, int], ink: Any, size: int | None = None
) -> None:
    size = size or int(random.integers(9, 26))
    font, (left, top, right, bottom) = _font(random, size), box
    y = top
    while y + size < bottom:
        if random.random() < 0.93:
            draw.text((left, y), _line(random, int((right - left) / (size * 3.2))), fill=ink, font=font)
        y += int(size * 1.4)


def bars(random: Random) -> Picture:
    image, draw = _blank(random)
    width, height = image.size
    count = int(random.integers(3, 20))
    step = (width - 80) / count
    same = _colour(random, 20, 230)
    for at in range(count):
        left, top = 50 + at * step, height - 40 - random.random() * (height - 90)
        fill = same if random.random() < 0.5 else _colour(random, 20, 230)
        draw.rectangle([left, top, left + step * 0.7, height - 40], fill=fill)
        draw.text((left, height - 34), str(random.integers(1000)), fill=0, font=_font(random, 12))
    draw.line([45, height - 40, width - 20, height - 40], fill=0, width=2)
    return image


def plot(random: Random) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(float(random.uniform(4, 10)), float(random.uniform(3, 8))), dpi=100)
    axes = figure.add_subplot()
    kind = random.integers(6)
    x = np.linspace(0, 10, 200)
    if kind == 0:
        for _ in range(random.integers(1, 7)):
            axes.plot(x, np.cumsum(random.normal(0, 1, 200)))
    elif kind == 1:
        axes.scatter(*random.normal(0, 1, (2, 400)), c=random.random(400), s=random.random(400) * 60)
    elif kind == 2:
        axes.imshow(random.random((int(random.integers(3, 40)), int(random.integers(3, 40)))), cmap="viridis")
    elif kind == 3:
        axes.pie(random.random(int(random.integers(3, 9))) + 0.1)
    elif kind == 4:
        axes.contourf(np.add.outer(np.sin(x), np.cos(x * random.random() * 2)), levels=int(random.integers(5, 40)))
    else:
        axes.hist(random.normal(0, 1, (500, 3)), bins=20)
    axes.set_title(_line(random, 4))
    axes.grid(bool(random.integers(2)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def page(random: Random) -> Picture:
    image, draw = _blank(random)
    _write(draw, random, (40, 40, image.width - 40, image.height - 30), _colour(random, 0, 60))
    return image


def scanned_page(random: Random) -> Picture:
    """A page as a scanner or a camera sees it: uneven light, paper grain, blur, tilt."""
    image = page(random)
    angle = float(random.uniform(-2, 2))
    image = image.rotate(angle, resample=Image.Resampling.BICUBIC, fillcolor=(235, 235, 235))
    image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0.3, 1.2))))
    levels = np.asarray(image, np.float64)
    down, across = np.mgrid[0 : 1 : complex(levels.shape[0]), 0 : 1 : complex(levels.shape[1])]  # type: ignore[misc]
    light = 1 - random.uniform(0, 0.25) * down - random.uniform(0, 0.25) * across
    tint = np.array([1.0, random.uniform(0.94, 1), random.uniform(0.85, 1)])
    levels = levels * light[..., None] * tint + random.normal(0, random.uniform(1, 6), levels.shape)
    return _image(levels)


def terminal(random: Random) -> Picture:
    image, draw = _blank(random, _colour(random, 0, 45))
    size, y = int(random.integers(10, 18)), 8
    font = _font(random, size)
    while y < image.height - size:
        x = 8 + 20 * int(random.integers(0, 5))
        for _ in range(random.integers(0, 9)):
            word = _line(random, 1)
            draw.text((x, y), word, fill=_colour(random, 90, 256), font=font)
            x += int(draw.textlength(word + " ", font=font))
        y += int(size * 1.35)
    return image


def window(random: Random) -> Picture:
    """A desktop with windows, buttons, menus and lists."""
    image, draw = _blank(random, _colour(random))
    for _ in range(random.integers(1, 5)):
        left, top = int(random.integers(0, image.width // 2)), int(random.integers(0, image.height // 2))
        right, bottom = left + int(random.integers(200, 700)), top + int(random.integers(150, 600))
        face = _colour(random, 215)
        draw.rectangle([left, top, right, bottom], fill=face, outline=(90, 90, 90))
        draw.rectangle([left, top, right, top + 26], fill=_colour(random, 40, 200))
        draw.text((left + 8, top + 5), _line(random, 3), fill=(255, 255, 255), font=_font(random, 13))
        _write(draw, random, (left + 14, top + 40, right - 90, bottom - 60), 20, 13)
        for at in range(random.integers(1, 4)):
            box = [right - 90 * (at + 1), bottom - 40, right - 90 * at - 12, bottom - 12]
            draw.rounded_rectangle(box, 4, fill=_colour(random, 180), outline=(120, 120, 120))
            draw.text((box[0] + 8, box[1] + 6), _line(random, 1), fill=0, font=_font(random, 12))
    return image


def chat(random: Random) -> Picture:
    image, draw = _blank(random, _colour(random, 190) if random.random() < 0.7 else _colour(random, 0, 40))
    y = 20
    while y < image.height - 60:
        height, width = int(random.integers(34, 130)), int(random.integers(120, max(160, image.width - 120)))
        left = 16 if random.random() < 0.5 else image.width - width - 16
        draw.rounded_rectangle([left, y, left + width, y + height], 14, fill=_colour(random, 120))
        _write(draw, random, (left + 12, y + 8, left + width - 8, y + height - 4), 10, 14)
        y += height + 14
    return image


def table(random: Random) -> Picture:
    image, draw = _blank(random)
    rows, columns = int(random.integers(20, 36)), int(random.integers(60, 150))
    font = _font(random, 12)
    for down, y in enumerate(range(0, image.height, rows)):
        if down % 2 and random.random() < 0.7:
            draw.rectangle([0, y, image.width, y + rows], fill=(238, 242, 248))
        for x in range(0, image.width, columns):
            draw.rectangle([x, y, x + columns, y + rows], outline=(190, 190, 190))
            draw.text((x + 5, y + 4), str(random.integers(10**5)), fill=(20, 20, 20), font=font)
    return image


def modules(random: Random) -> Picture:
    """A matrix code: random black and white modules with finder squares and a quiet zone."""
    count, side = int(random.integers(21, 60)), int(random.integers(6, 16))
    bits = random.integers(0, 2, (count, count))
    for rows, columns in ((slice(0, 7), slice(0, 7)), (slice(0, 7), slice(-7, None)), (slice(-7, None), slice(0, 7))):
        bits[rows, columns] = 0
        inner = bits[rows, columns]
        inner[1:6, 1:6], inner[2:5, 2:5] = 1, 0
    zone = int(random.integers(0, 5))
    levels = np.kron(np.pad(bits, zone, constant_values=1), np.ones((side, side))) * 255
    return _image(np.repeat(levels[..., None], 3, axis=2))


def bar_code(random: Random) -> Picture:
    image, draw = _blank(random, (255, 255, 255))
    x = 40
    while x < image.width - 40:
        stripe = int(random.integers(1, 5)) * 3
        draw.rectangle([x, 40, x + stripe, image.height - 80], fill=0)
        x += stripe + int(random.integers(1, 5)) * 3
    draw.text((60, image.height - 70), str(random.integers(10**12)), fill=0, font=_font(random, 30))
    return image


def drawing(random: Random) -> Picture:
    """Flat shapes with outlines."""
    image, draw = _blank(random, _colour(random, 120))
    outline = (0, 0, 0) if random.random() < 0.6 else None
    for _ in range(random.integers(8, 120)):
        x, y = random.integers(0, image.width), random.integers(0, image.height)
        side, kind, fill = int(random.integers(15, 220)), random.integers(3), _colour(random)
        if kind == 0:
            draw.ellipse([x, y, x + side, y + side * random.uniform(0.4, 1.6)], fill=fill, outline=outline, width=3)
        elif kind == 1:
            draw.rectangle([x, y, x + side, y + int(side * random.uniform(0.4, 1.6))], fill=fill, outline=outline)
        else:
            points = [(x + side * random.uniform(-1, 1), y + side * random.uniform(-1, 1)) for _ in range(5)]
            draw.polygon(points, fill=fill, outline=outline)
    return image


def soft_drawing(random: Random) -> Picture:
    return drawing(random).filter(ImageFilter.GaussianBlur(float(random.uniform(1, 7))))


def shaded(random: Random) -> Picture:
    """Spheres with light and shadow over a graded ground: a plain rendering."""
    width, height = _size(random)
    down, across = np.mgrid[0:height, 0:width].astype(np.float64)
    top, bottom = np.array(_colour(random, 60)), np.array(_colour(random, 60))
    share = (down / height)[..., None]
    levels = top * (1 - share) + bottom * share
    light = np.array([random.uniform(-1, 1), random.uniform(-1, 0), 1.0])
    light /= np.linalg.norm(light)
    for _ in range(random.integers(2, 14)):
        radius = random.uniform(25, 160)
        x, y = random.uniform(0, width), random.uniform(0, height)
        right, under = (across - x) / radius, (down - y) / radius
        within = right**2 + under**2 < 1
        depth = np.sqrt(np.clip(1 - right**2 - under**2, 0, 1))
        shine = np.clip(right * light[0] + under * light[1] + depth * light[2], 0, 1)
        body = np.array(_colour(random, 40)) * (0.15 + 0.85 * shine[..., None]) + 200 * shine[..., None] ** 40
        levels = np.where(within[..., None], body, levels)
    return _image(levels)


def pixel_art(random: Random) -> Picture:
    colours = random.integers(0, 256, (int(random.integers(4, 24)), 3))
    grid = random.integers(0, len(colours), (int(random.integers(16, 64)), int(random.integers(16, 64))))
    grid = np.sort(grid, axis=int(random.integers(2)))
    return _image(np.kron(colours[grid], np.ones((int(random.integers(8, 20)),) * 2 + (1,))))


def sketch(random: Random) -> Picture:
    """Curved strokes of a pen or pencil on paper."""
    image, draw = _blank(random)
    ink = _colour(random, 0, 110)
    for _ in range(random.integers(20, 260)):
        angle, x, y = random.uniform(0, 7), random.uniform(0, image.width), random.uniform(0, image.height)
        points = []
        for _ in range(random.integers(5, 60)):
            angle += random.normal(0, 0.25)
            x, y = x + 9 * np.cos(angle), y + 9 * np.sin(angle)
            points.append((float(x), float(y)))
        draw.line(points, fill=ink, width=int(random.integers(1, 5)))
    return image.filter(ImageFilter.GaussianBlur(float(random.uniform(0, 1))))


def cartoon_map(random: Random) -> Picture:
    """Regions of one colour each around seeds (a Voronoi diagram), with border lines and names."""
    width, height = (int(side) // 2 for side in _size(random))
    seeds = random.random((int(random.integers(8, 70)), 2)) * (height, width)
    down, across = np.mgrid[0:height, 0:width]
    apart = [np.hypot(down - y + 12 * np.sin(across / 19), across - x + 12 * np.sin(down / 23)) for y, x in seeds]
    owner = np.argmin(apart, axis=0)
    levels = random.integers(120, 256, (len(seeds), 3))[owner]
    levels[(np.diff(owner, axis=0, append=owner[-1:]) != 0) | (np.diff(owner, axis=1, append=owner[:, -1:]) != 0)] = 60
    image = _image(levels).resize((width * 2, height * 2), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for y, x in seeds:
        draw.text((x * 2, y * 2), _line(random, 1), fill=(30, 30, 30), font=_font(random, 13))
    return image


def ramp(random: Random) -> Picture:
    """A gradient, straight or round, sometimes of several waves."""
    width, height = _size(random)
    down, across = np.mgrid[0 : 1 : complex(height), 0 : 1 : complex(width)]  # type: ignore[misc]
    turn = random.uniform(0, 7)
    along = (np.cos(turn) * down + np.sin(turn) * across) * random.uniform(0.3, 3)
    if random.random() < 0.4:
        along = np.hypot(down - random.random(), across - random.random()) * random.uniform(0.5, 3)
    share = (np.sin(along * np.pi) / 2 + 0.5)[..., None]
    levels = np.array(_colour(random)) * share + np.array(_colour(random)) * (1 - share)
    return _image(levels + (random.normal(0, random.uniform(0.3, 2), levels.shape) if random.random() < 0.4 else 0))


def noise(random: Random) -> Picture:
    """Independent noise, uniform or Gaussian, of one or three channels."""
    width, height = _size(random)
    shape = (height, width, 3 if random.random() < 0.6 else 1)
    if random.random() < 0.4:
        levels = random.uniform(0, 255, shape)
    else:
        levels = random.normal(random.uniform(60, 200), random.uniform(8, 60), shape)
    return _image(np.broadcast_to(levels, (height, width, 3)))


def clouds(random: Random) -> Picture:
    """Noise with a power-law spectrum, exponent 1 to 2 in amplitude: smooth, and of nothing."""
    width, height = _size(random)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    white = random.normal(0, 1, (height, frequency.shape[1])) + 1j * random.normal(0, 1, (height, frequency.shape[1]))
    field = np.fft.irfft2(white / frequency ** random.uniform(1.6, 2.4), (height, width))
    field = (field - field.min()) / np.ptp(field)
    return _image(np.array(_colour(random)) * field[..., None] + np.array(_colour(random)) * (1 - field[..., None]))


def blank(random: Random) -> Picture:
    image, draw = _blank(random, _colour(random))
    if random.random() < 0.7:
        box = sorted(random.integers(0, min(image.size), 4).tolist())
        draw.rectangle(box, fill=_colour(random))
    return image


def checks(random: Random) -> Picture:
    """A chessboard, stripes or dots: test charts."""
    width, height = _size(random)
    down, across = np.mgrid[0:height, 0:width]
    side, kind = int(random.integers(4, 60)), random.integers(3)
    on = (down // side + across // side) % 2 if kind == 0 else (down // side if kind == 1 else across // side) % 2
    if random.random() < 0.3:
        on = np.hypot(down % (2 * side) - side, across % (2 * side) - side) < side * 0.7
    return _image(np.where(np.asarray(on, bool)[..., None], _colour(random), _colour(random)))


KINDS: dict[str, Callable[[Random], Picture]] = {
    kind.__name__: kind
    for kind in (
        *(bars, plot, page, scanned_page, terminal, window, chat, table, modules, bar_code, drawing, soft_drawing),
        *(shaded, pixel_art, sketch, cartoon_map, ramp, noise, clouds, blank, checks),
    )
}
"""Makers by name."""


def drawn(kind: str, seed: int, number: int) -> NDArray[np.uint8]:
    """Return a graphic as files leave it: one in three lossless, one in three scaled, the others JPEG."""
    random = np.random.default_rng((seed, number, *kind.encode()))
    return _stored(KINDS[kind](random), random)


def _stored(image: Picture, random: Random) -> NDArray[np.uint8]:
    if random.random() < 1 / 3:
        factor = random.uniform(0.4, 1.4)
        size = tuple(max(240, round(side * factor)) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)  # type: ignore[arg-type]
    if random.random() < 2 / 3:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(random.integers(55, 97)), subsampling=int(random.choice([0, 2])))
        image = Image.open(stream)
    return np.array(image.convert("RGB"))


def _image(levels: NDArray[Any]) -> Picture:
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))

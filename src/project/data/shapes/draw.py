"""Draws the embedded image set: textured shapes on textured backgrounds, with clutter, light and noise.

Only the outline tells the classes apart. Colours, textures, size, rotation, position and everything else are
drawn for each image from distributions that do not know the class.
"""

import colorsys
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from rich.console import Console
from rich.progress import track

from headstart.errors import UserError
from headstart.files import atomic_folder

from .outlines import OUTLINES, REACH, Outline

CLASSES = tuple(OUTLINES)
SPLITS = ("train", "val", "test")
SIDE = 256  # pixels, both ways

_VERSION = 1  # part of the folder's name: raise it whenever the images change
_FINE = 3  # masks are drawn this many times larger and averaged down, for smooth edges
_EDGE = 17  # pixels kept free around a shape, so that a 224-pixel centre crop cuts none
_YX = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)

Plane = NDArray[np.floating]  # a mask or pattern, [SIDE, SIDE] in 0..1
Colours = NDArray[np.floating]  # [3, SIDE, SIDE] in 0..255, or one colour, [3, 1, 1]


def draw_shapes(root: Path, per_class: tuple[int, int, int] = (70, 20, 30), seed: int = 0) -> Path:
    """Draw the set below `root`, unless it is there, and return its folder: `<split>/<class>/<index>.jpg`.

    `per_class` counts the images of each class in train, val and test. An image depends on (seed, split,
    class, index) alone, so a larger set of the same seed contains the smaller one. The folder appears whole
    or not at all, also when the drawing is killed or several processes draw at once.

    Raises `UserError` for a count below one or a negative seed.
    """
    if len(per_class) != 3 or min(per_class) < 1:
        raise UserError(f"per_class={per_class}: give three counts of at least 1, for train, val and test")
    if seed < 0:
        raise UserError(f"seed={seed}: give a whole number from 0 up")
    final = root / f"shapes-v{_VERSION}-seed{seed}-{'-'.join(map(str, per_class))}"
    if not final.is_dir():
        with atomic_folder(final) as drawn:
            _draw_all(drawn, per_class, seed)
    return final


def _draw_all(folder: Path, per_class: tuple[int, int, int], seed: int) -> None:
    jobs = [
        (split, label, index)
        for split, count in enumerate(per_class)
        for label in range(len(CLASSES))
        for index in range(count)
    ]
    # One after another, at about 4 ms each: threads were measured to gain next to nothing, and fresh
    # processes spend longer on their imports than on the images.
    brief = len(jobs) < 400  # over before a progress bar would be read
    for split, label, index in track(jobs, "Drawing shapes", console=Console(stderr=True), disable=brief):
        path = folder / SPLITS[split] / CLASSES[label] / f"{index:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        paint(OUTLINES[CLASSES[label]], np.random.default_rng([seed, split, label, index])).save(path, quality=90)


def paint(outline: Outline, rng: Generator) -> Image.Image:
    """An RGB image of SIDE x SIDE pixels: background, clutter, shape with shadow, clutter, light."""
    # Dark on light or light on dark, by a coin: the shape always shows, and brightness says nothing about it.
    back, front = rng.permutation([rng.uniform(0.1, 0.35), rng.uniform(0.68, 0.92)])
    image = _surface(rng, back)
    image = _blend(image, _colour(rng, rng.uniform(0.1, 0.9)), 0.7 * _clutter(rng, most=6))
    mask = _shape_mask(rng, outline)
    image *= 1 - _shadow(rng, mask)
    image = _blend(image, _surface(rng, front), mask)
    image = _blend(image, _colour(rng, rng.uniform(0.1, 0.9)), 0.7 * _clutter(rng, most=2))
    return _photograph(rng, image)


def _blend(below: Colours, above: Colours, mask: Plane) -> Colours:
    return below + (above - below) * mask


def _surface(rng: Generator, lightness: float) -> Colours:
    """A texture in two related colours around this lightness (0 black, 1 white), [3, SIDE, SIDE]."""
    hue, spread = rng.uniform(), rng.uniform(0.02, 0.07)
    first = _colour(rng, lightness - spread, hue)
    second = _colour(rng, lightness + spread, hue + rng.normal(0, 0.08))
    return first + (second - first) * _pattern(rng)


def _colour(rng: Generator, lightness: float, hue: float | None = None) -> Colours:
    hue = rng.uniform() if hue is None else hue
    rgb = colorsys.hls_to_rgb(hue % 1, lightness, rng.uniform(0.25, 0.9))
    return 255 * np.array(rgb, np.float32).reshape(3, 1, 1)


def _pattern(rng: Generator) -> Plane:
    """Gradient, stripes, dots or clouds, at a random angle and scale."""
    angle, phase = rng.uniform(0, 2 * np.pi, size=2).astype(np.float32)
    across = np.cos(angle) * _YX[1] + np.sin(angle) * _YX[0]
    along = np.cos(angle) * _YX[0] - np.sin(angle) * _YX[1]
    waves = rng.uniform(12, 45)
    kind = rng.integers(4)
    if kind == 0:
        return (across + 1.5) / 3
    if kind == 1:
        return _soft_step(np.sin(waves * across + phase))
    if kind == 2:
        return _soft_step(np.sin(waves * across + phase) * np.sin(waves * along) - 0.3)
    coarse = Image.fromarray(rng.uniform(0, 1, size=(9, 9)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _soft_step(wave: Plane) -> Plane:
    return np.clip(0.5 + 4 * wave, 0, 1)


def _shape_mask(rng: Generator, outline: Outline) -> Plane:
    """The outline turned, slightly stretched (its area stays) and put anywhere inside the image."""
    size, stretch = rng.uniform(72, 98), rng.uniform(0.94, 1.06)
    # The same room for every class, so that where a shape lies says nothing about what it is.
    reach = size * REACH * 1.07 + _EDGE
    centre = rng.uniform(reach, SIDE - reach, size=2)
    turn, tilt = (_rotation(angle) for angle in rng.uniform(0, 2 * np.pi, size=2))
    corners = outline @ turn @ np.diag([stretch, 1 / stretch]) @ tilt * size + centre
    return _fill([corners])


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _clutter(rng: Generator, most: int) -> Plane:
    """Up to `most` thin lines and small blots, anywhere."""
    polygons = []
    for _ in range(rng.integers(most + 1)):
        centre = rng.uniform(0, SIDE, size=2)
        angles = np.sort(rng.uniform(0, 2 * np.pi, size=7))
        radii = rng.choice([[120, 1.2], [9, 9]])  # pixels: a line or a blot
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii * rng.uniform(0.5, 1)
        polygons.append(corners @ _rotation(rng.uniform(0, 2 * np.pi)) + centre)
    return _fill(polygons)


def _fill(polygons: list[NDArray[np.float64]]) -> Plane:
    """1 inside the polygons (corners in pixels), 0 outside, smooth between, [SIDE, SIDE]."""
    mask = Image.new("L", (SIDE * _FINE, SIDE * _FINE))
    draw = ImageDraw.Draw(mask)
    for corners in polygons:
        draw.polygon([(x, y) for x, y in corners * _FINE], fill=255)
    return np.asarray(mask.reduce(_FINE), np.float32) / 255


def _shadow(rng: Generator, mask: Plane) -> Plane:
    """How much light a shape with this mask takes from what lies behind it."""
    soft = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(6))
    shift = rng.integers(-7, 8, size=2)
    moved = np.roll(np.asarray(soft, np.float32) / 255, tuple(shift), axis=(0, 1))
    return moved * rng.uniform(0, 0.5)


def _photograph(rng: Generator, image: Colours) -> Image.Image:
    """Uneven light, sensor noise, a touch of blur."""
    slope = rng.uniform(-0.22, 0.22, size=2).astype(np.float32)
    noise = rng.standard_normal((SIDE, SIDE), dtype=np.float32) * rng.uniform(2, 10)
    lit = image * (1 + slope[0] * _YX[0] + slope[1] * _YX[1]) + noise
    pixels = np.clip(lit, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(pixels).filter(ImageFilter.BoxBlur(rng.uniform(0, 1)))

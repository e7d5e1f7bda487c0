"""The outlines that the embedded image set draws: one closed polygon per class, all of the same area.

An outline is an array of corners, [num_corners, 2]. Its unit of length is the square root of its area,
so that no class is brighter than another. The origin lies near the middle of the circle around the outline,
so that a shape turns in little room.
"""

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]


def _arc(start: float, stop: float, num_points: int = 90) -> Outline:
    """Points on the unit circle from `start` to `stop` (degrees), [num_points, 2]."""
    angles = np.radians(np.linspace(start, stop, num_points))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _spokes(radii: NDArray[np.float64]) -> Outline:
    """Corners at these distances from the origin, at equal angles all the way round."""
    return _arc(0, 360, len(radii) + 1)[:-1] * radii[:, None]


def _crescent() -> Outline:
    # The unit circle less a circle of radius 0.8 that meets it at the two tips, 45 degrees up and down.
    tip = np.sqrt(0.5)
    inner = np.degrees(np.arcsin(tip / 0.8))
    bite = 0.8 * _arc(360 - inner, inner)
    return np.concatenate([_arc(45, 315), bite + np.array([tip - bite[0, 0], 0])])


def _heart() -> Outline:
    angles = np.radians(np.linspace(0, 360, 120, endpoint=False))
    lobes = 13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)
    return np.stack([16 * np.sin(angles) ** 3, -lobes - 2.5], axis=1)


def _cross() -> Outline:
    arm = [(0.33, 1.0), (0.33, 0.33), (1.0, 0.33)]
    turn = np.array([[0, -1], [1, 0]])
    return np.concatenate([np.array(arm) @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _spiral() -> Outline:
    radii = np.linspace(0.1, 0.87, 160)[:, None]
    line = _arc(0, 760, 160)
    return np.concatenate([(radii + 0.12) * line, ((radii - 0.1) * line)[::-1]])


def _normalise(corners: Outline) -> Outline:
    """The same outline with an area of 1 (the shoelace formula)."""
    following = np.roll(corners, -1, axis=0)
    twice_area = corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]
    return corners / np.sqrt(abs(twice_area.sum()) / 2)


_SHAPES = {
    "circle": _arc(0, 360),
    "crescent": _crescent(),
    "cross": _cross(),
    "flower": _spokes(1 + 0.4 * np.cos(6 * np.radians(np.linspace(0, 360, 180, endpoint=False)))),
    "heart": _heart(),
    # One path, out and back: the seam between the two circles has no width, so the hole stays a hole.
    "ring": np.concatenate([_arc(0, 360), 0.55 * _arc(360, 0)]),
    "spiral": _spiral(),
    "square": _spokes(np.ones(4)),
    "star": _spokes(np.array([1.0, 0.42] * 5)),
    "triangle": _spokes(np.ones(3)),
}

OUTLINES = {name: _normalise(corners) for name, corners in _SHAPES.items()}

# The farthest corner of any class from the origin: the room that every shape is given.
REACH = max(float(np.linalg.norm(outline, axis=1).max()) for outline in OUTLINES.values())

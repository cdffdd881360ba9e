"""Composition of a scene: draws the description of a scene, which the picture's size does not enter."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_modules.scenes.canvas import Canvas
from data_modules.scenes.castle import castle
from data_modules.scenes.church import church
from data_modules.scenes.house import house
from data_modules.scenes.landscape import land, sky, trees
from data_modules.scenes.light import light_at
from data_modules.scenes.shapes import Shape
from data_modules.scenes.site import Draws, Site

BUILDINGS: dict[str, Callable[[Draws, Site], list[Shape]]] = {
    "church": church,
    "castle": castle,
    "house": house,
}


class Scene(NamedTuple):
    """A building in a landscape, as shapes from back to front."""

    kind: int
    """The place of the building in :data:`BUILDINGS`."""
    shapes: tuple[Shape, ...]

    def render(self, size: int) -> NDArray[np.uint8]:
        """Paint the scene, ``(3, size, size)`` of 0 to 255."""
        canvas = Canvas(size)
        for shape in self.shapes:
            shape.paint(canvas)
        return canvas.finished()


def compose(rng: np.random.Generator) -> Scene:
    """Draw a scene: a sky, hills, a meadow, a church, castle or house, and trees."""
    draws = Draws(rng)
    kind = draws.below(len(BUILDINGS))
    horizon = draws.between(0.64, 0.72)
    site = Site(
        middle=draws.between(0.42, 0.58),
        base=horizon + draws.between(0.06, 0.1),
        sun=draws.side(),
        # Not the last third of dusk, where a church is hard to tell from the night.
        light=light_at(draws.between(0, 2.7)),
    )
    build = list(BUILDINGS.values())[kind]
    shapes = (
        sky(draws, site, horizon),
        *land(draws, site, horizon),
        *build(draws, site),
        *trees(draws, site),
    )
    return Scene(kind, shapes)

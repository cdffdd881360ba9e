"""A house: a broad roof with a gable at one end, a chimney, and windows of six panes."""

from data_modules.scenes.canvas import Span
from data_modules.scenes.light import rgb
from data_modules.scenes.shapes import Arches, Boxes, Shape, Slab, Surface
from data_modules.scenes.site import Draws, Site, around, each, spaced
from data_modules.scenes.textures import BRICK, SHINGLE

_GABLE = 0.105
"""Half of the gable's width."""


def house(draws: Draws, site: Site) -> list[Shape]:
    """Draw a house's shapes, back to front."""
    wall = draws.one_of(
        (
            Surface(rgb(184, 94, 72), BRICK, stains=0.04),
            Surface(rgb(242, 236, 222), stains=0.03),
            Surface(rgb(236, 200, 120), stains=0.03),
            Surface(rgb(214, 150, 134), stains=0.03),
        )
    )
    colour = draws.one_of((rgb(170, 74, 52), rgb(88, 88, 100), rgb(122, 84, 64)))
    roof = Surface(colour, SHINGLE, stains=0.05)
    side, half = draws.side(), draws.between(0.23, 0.27)
    span = around(site.middle, half)
    eaves = site.base - draws.between(0.19, 0.23)
    ridge = eaves - draws.between(0.13, 0.17)
    # The door is in the middle of what the gable leaves of the front.
    door, beside = site.middle - side * _GABLE, half - _GABLE - 0.06
    return [
        site.path(door, 0.032),
        *_chimney(site, wall, site.middle - side * half / 2, ridge),
        *_front(site, wall, roof, span, eaves, ridge),
        *_gable(draws, site, wall, roof, site.middle + side * (half - _GABLE), eaves),
        *_windows(site, (door - beside, door + beside), 0.027, site.base - 0.14),
        *_door(draws, site, door),
    ]


def _chimney(site: Site, wall: Surface, x: float, ridge: float) -> list[Shape]:
    cap = site.plain(rgb(90, 80, 78))
    return [
        Boxes((around(x, 0.025),), (around(ridge, 0.06),), site.surface(wall, 0.8)),
        Boxes((around(x, 0.031),), ((ridge - 0.07, ridge - 0.055),), cap),
    ]


def _front(
    site: Site, wall: Surface, roof: Surface, span: Span, eaves: float, ridge: float
) -> list[Shape]:
    top, over = (span[0] + 0.04, span[1] - 0.04), (span[0] - 0.02, span[1] + 0.02)
    return [
        Boxes((span,), ((eaves, site.base),), site.surface(wall, 0.9)),
        Slab(ridge, eaves + 0.012, top, over, site.surface(roof, 0.92)),
    ]


def _gable(
    draws: Draws, site: Site, wall: Surface, roof: Surface, middle: float, eaves: float
) -> list[Shape]:
    top = eaves - draws.between(0.15, 0.19)
    point, span = (middle, middle), around(middle, _GABLE)
    tiles, face = site.surface(roof, 0.7), site.surface(wall, 1.06)
    return [
        Slab(top - 0.02, eaves + 0.012, point, around(middle, _GABLE + 0.03), tiles),
        Boxes((span,), ((eaves, site.base),), face),
        Slab(top + 0.012, eaves + 0.004, point, span, face),
        Arches((middle,), 0.022, eaves - 0.075, eaves - 0.02, 0.0, _white(site)),
        Arches((middle,), 0.016, eaves - 0.069, eaves - 0.024, 0.0, site.window()),
        *_windows(site, (middle - 0.045, middle + 0.045), 0.034, eaves + 0.05),
    ]


def _windows(site: Site, middles: tuple[float, ...], half: float, top: float) -> list[Shape]:
    """White frames around two by three panes each."""
    height, frame, bar = 0.085, 0.005, 0.002
    wide, tall = half - frame, (height - 2 * frame) / 3
    across = [x + shift * wide / 2 for x in middles for shift in (-1, 1)]
    down = spaced(top + frame + tall / 2, tall, 3)
    panes = each(across, wide / 2 - bar), each(down, tall / 2 - bar)
    return [
        Boxes(each(middles, half), ((top, top + height),), _white(site)),
        Boxes(*panes, site.window()),
    ]


def _door(draws: Draws, site: Site, x: float) -> list[Shape]:
    colour = draws.one_of((rgb(52, 92, 76), rgb(132, 52, 44), rgb(58, 76, 122)))
    return [
        Boxes((around(x, 0.033),), ((site.base - 0.125, site.base),), _white(site)),
        Boxes((around(x, 0.027),), ((site.base - 0.118, site.base),), site.plain(colour)),
    ]


def _white(site: Site) -> Surface:
    return site.plain(rgb(244, 242, 236))

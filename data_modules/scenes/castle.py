"""A castle: a gate in a wall between two round towers, and a keep with a flag behind."""

from data_modules.scenes.canvas import Array, Span
from data_modules.scenes.light import rgb
from data_modules.scenes.shapes import Arches, Boxes, Shape, Slab, Surface
from data_modules.scenes.site import Draws, Site, around, each, spaced
from data_modules.scenes.textures import ASHLAR, SHINGLE


def castle(draws: Draws, site: Site) -> list[Shape]:
    """Draw a castle's shapes, back to front."""
    colour = draws.one_of((rgb(158, 156, 160), rgb(196, 174, 138), rgb(172, 146, 126)))
    stone = Surface(colour, ASHLAR, stains=0.07)
    roof = draws.one_of((rgb(164, 62, 52), rgb(72, 86, 128), None))
    half, radius = draws.between(0.2, 0.25), draws.between(0.055, 0.07)
    wall, tower = draws.between(0.17, 0.21), draws.between(0.29, 0.36)
    span = around(site.middle, half)
    return [
        site.path(site.middle, 0.038),
        *_keep(draws, site, stone),
        *_rampart(site, site.surface(stone, 0.9), span, site.base - wall, 9),
        *_gate(site, stone),
        *_tower(site, stone, roof, span[0], radius, site.base - tower),
        *_tower(site, stone, roof, span[1], radius, site.base - tower),
    ]


def _keep(draws: Draws, site: Site, stone: Surface) -> list[Shape]:
    half, top = draws.between(0.075, 0.1), site.base - draws.between(0.42, 0.48)
    cloth = draws.one_of((rgb(206, 52, 48), rgb(52, 84, 186), rgb(244, 204, 70)))
    middle, flag = site.middle, (site.middle, site.middle + 0.085)
    windows = spaced(middle - 0.035, 0.035, 3)
    return [
        Boxes((flag,), ((top - 0.13, top - 0.08),), site.plain(cloth)),
        Boxes((around(middle, 0.003),), ((top - 0.13, top),), site.plain(rgb(80, 64, 52))),
        *_rampart(site, site.round(stone, 1.05, 0.7), around(middle, half), top, 5),
        Arches(windows, 0.011, top + 0.05, top + 0.11, 0.0, site.window()),
    ]


def _rampart(site: Site, surface: Surface, span: Span, top: float, merlons: int) -> list[Shape]:
    pitch = (span[1] - span[0]) / (merlons - 0.5)
    teeth = each(spaced(span[0] + 0.25 * pitch, pitch, merlons), 0.25 * pitch)
    groove = surface._replace(colour=surface.colour * 0.7, bond=None)
    return [
        Boxes((span,), ((top, site.base),), surface),
        Boxes(teeth, ((top - 0.026, top),), surface),
        Boxes((span,), (around(top + 0.007, 0.003),), groove),
    ]


def _gate(site: Site, stone: Surface) -> list[Shape]:
    base, middles = site.base, (site.middle,)
    bars = each(spaced(site.middle - 0.03, 0.012, 6), 0.002)
    trim = site.surface(stone._replace(bond=None), 1.2)
    return [
        Arches(middles, 0.052, base - 0.125, base, 0.0, trim),
        Arches(middles, 0.04, base - 0.11, base, 0.0, site.plain(rgb(44, 34, 32))),
        Boxes(bars, ((base - 0.07, base - 0.02),), site.plain(rgb(116, 96, 76))),
    ]


def _tower(
    site: Site, stone: Surface, roof: Array | None, x: float, radius: float, top: float
) -> list[Shape]:
    """A round tower, with a pointed roof or, where that has no colour, battlements."""
    surface = site.round(stone, 1.12, 0.58)
    wide = around(x, radius + 0.008)
    if roof is None:
        crown = _rampart(site._replace(base=top + 0.035), surface, wide, top, 4)
    else:
        tiles = site.round(Surface(roof, SHINGLE), 1.12, 0.58)
        crown = [
            Boxes((wide,), ((top, top + 0.02),), surface._replace(bond=None)),
            Slab(top - 0.15, top + 0.002, (x, x), around(x, radius + 0.018), tiles),
        ]
    slits = each((top + 0.08, top + 0.18), 0.02)
    return [
        Boxes((around(x, radius),), ((top, site.base),), surface),
        *crown,
        Boxes((around(x, 0.007),), slits, site.window()),
    ]

"""A church: a nave with pointed windows, and at its end a tower with a spire."""

from data_modules.scenes.canvas import Array, Span
from data_modules.scenes.light import rgb
from data_modules.scenes.shapes import Arches, Boxes, Shape, Slab, Surface
from data_modules.scenes.site import Draws, Site, around, each, spaced
from data_modules.scenes.textures import ASHLAR, BRICK, SHINGLE


def church(draws: Draws, site: Site) -> list[Shape]:
    """Draw a church's shapes, back to front."""
    wall = draws.one_of(
        (
            Surface(rgb(214, 192, 150), ASHLAR, stains=0.05),
            Surface(rgb(172, 172, 176), ASHLAR, stains=0.05),
            Surface(rgb(178, 92, 70), BRICK, stains=0.05),
            Surface(rgb(240, 234, 220), stains=0.03),
        )
    )
    roof = draws.one_of((rgb(84, 92, 116), rgb(166, 76, 54)))
    spire = draws.one_of((roof, roof, rgb(104, 160, 142)))
    side, length = draws.side(), draws.between(0.36, 0.44)
    tower, width = site.middle - side * length / 2, draws.between(0.14, 0.17)
    top = site.base - draws.between(0.36, 0.42)
    return [
        site.path(tower, width * 0.2),
        *_nave(draws, site, wall, roof, around(site.middle, length / 2), side),
        *_tower(draws, site, wall, tower, width, top),
        *_spire(draws, site, spire, tower, width * 0.58, top),
        *_portal(site, tower, width * 0.2),
    ]


def _nave(
    draws: Draws, site: Site, wall: Surface, roof: Array, span: Span, side: int
) -> list[Shape]:
    eaves = site.base - draws.between(0.16, 0.21)
    ridge = eaves - draws.between(0.1, 0.14)
    over: Span = (span[0] - 0.012, span[1] + 0.012)
    # The roof slants at its free end only; the other is behind the tower.
    top: Span = (span[0] + (0.05 if side < 0 else 0), span[1] - (0.05 if side > 0 else 0))
    brightness = 1.0 if side == site.sun else 0.86
    shingles = Surface(roof, SHINGLE, stains=0.05)
    repeats = draws.one_of((3, 4))
    pitch = (span[1] - span[0] - 0.1) / repeats
    first = span[0] + pitch / 2 + (0.02 if side < 0 else 0.08)
    return [
        Boxes((span,), ((eaves, site.base),), site.surface(wall, brightness)),
        Boxes((span,), ((site.base - 0.014, site.base),), site.surface(wall, 0.7 * brightness)),
        Slab(ridge, eaves + 0.006, top, over, site.surface(shingles, brightness)),
        Boxes((over,), ((eaves, eaves + 0.012),), site.surface(wall, 0.62)),
        *_windows(site, spaced(first, pitch, repeats), eaves + 0.035, site.base - 0.04),
    ]


def _windows(site: Site, middles: tuple[float, ...], top: float, bottom: float) -> list[Shape]:
    half = 0.02
    trim, lead = site.plain(rgb(236, 228, 206)), site.plain(rgb(150, 140, 120))
    return [
        Arches(middles, half + 0.006, top - 0.008, bottom + 0.004, 1.0, trim),
        Arches(middles, half, top, bottom, 1.0, site.window()),
        Boxes(each(middles, 0.002), ((top, bottom),), trim),
        Boxes(each(middles, half), each(spaced(top + 0.036, 0.018, 4), 0.00125), lead),
    ]


def _tower(
    draws: Draws, site: Site, wall: Surface, middle: float, width: float, top: float
) -> list[Shape]:
    left, right = around(middle, width / 2)
    corner = middle + 0.2 * width * site.sun
    faces = site.faces(1.06, 0.72)
    down, cornices = (top, site.base), ((top, top + 0.012), (top + 0.13, top + 0.138))
    belfry = draws.between(0.025, 0.035)
    trim = site.surface(wall._replace(bond=None), 1.15)
    slats = each(spaced(top + 0.057, 0.009, 5), 0.002)
    return [
        Boxes(((left, corner),), (down,), site.surface(wall, faces[0])),
        Boxes(((corner, right),), (down,), site.surface(wall, faces[1])),
        Boxes(((left - 0.006, right + 0.006),), cornices, trim),
        Arches((middle,), belfry + 0.006, top + 0.024, top + 0.108, 0.5, trim),
        Arches((middle,), belfry, top + 0.032, top + 0.104, 0.5, site.plain(rgb(52, 48, 56))),
        Boxes((around(middle, belfry),), slats, site.plain(rgb(122, 106, 92))),
        Arches((middle,), 0.012, top + 0.17, top + 0.21, 0.0, site.window()),
    ]


def _spire(
    draws: Draws, site: Site, roof: Array, middle: float, half: float, base: float
) -> list[Shape]:
    top = base - draws.between(0.17, 0.23)
    corner = middle + 0.34 * half * site.sun
    faces = site.faces(1.1, 0.66)
    shingles, gold = Surface(roof, SHINGLE), site.plain(rgb(236, 196, 96))
    point = (middle, middle)
    return [
        Slab(top, base, point, (middle - half, corner), site.surface(shingles, faces[0])),
        Slab(top, base, point, (corner, middle + half), site.surface(shingles, faces[1])),
        Boxes((around(middle, 0.0025),), ((top - 0.04, top + 0.01),), gold),
        Boxes((around(middle, 0.012),), (around(top - 0.0275, 0.0025),), gold),
    ]


def _portal(site: Site, middle: float, half: float) -> list[Shape]:
    trim, wood = site.plain(rgb(232, 220, 190)), site.plain(rgb(96, 58, 38))
    return [
        Arches((middle,), half * 1.35, site.base - 0.1, site.base, 0.6, trim),
        Arches((middle,), half, site.base - 0.085, site.base, 0.6, wood),
    ]

"""Landscape around the building: sky, hills, woods, a meadow, and trees at both sides."""

import numpy as np

from data_modules.scenes.canvas import Array
from data_modules.scenes.light import mix, rgb
from data_modules.scenes.shapes import Boxes, Meadow, Ridge, Shadow, Shape, Sky, Tree
from data_modules.scenes.site import Draws, Site, around
from data_modules.scenes.textures import BILLOWS, FOLIAGE


def sky(draws: Draws, site: Site, horizon: float) -> Shape:
    """Draw a sky down to the horizon."""
    light = site.light
    return Sky(
        horizon=horizon,
        zenith_colour=light.zenith,
        horizon_colour=light.horizon,
        sun=(0.5 + site.sun * draws.between(0.2, 0.4), light.sun_height),
        sun_colour=light.sun,
        glow=light.glow,
        cloud_colour=light.cloud,
        cloudiness=draws.between(-0.1, 1.1),
        places=(draws.place(), draws.place()),
    )


def land(draws: Draws, site: Site, horizon: float) -> list[Shape]:
    """Draw hills and woods on the horizon, a meadow, and the building's shadow on it."""
    light, foot = site.light, horizon + 0.02
    grass = mix(rgb(104, 156, 60), rgb(140, 150, 66), draws.between(0, 1))
    hills = mix(light.on(rgb(72, 110, 104)), light.horizon, 0.4)
    flower = draws.one_of((rgb(250, 244, 230), rgb(248, 214, 80), rgb(226, 90, 90)))
    return [
        Ridge(horizon - 0.06, 0.028, foot, hills, 0.03, BILLOWS, draws.place()),
        Ridge(horizon - 0.015, 0.008, foot, _woods(site), 0.16, FOLIAGE, draws.place()),
        Meadow(
            horizon=horizon,
            far=light.on(mix(grass, rgb(196, 200, 120), 0.35)),
            near=light.on(grass * np.float32(0.82)),
            flower=light.on(flower),
            flowers=draws.between(2.4, 3.2),
            place=draws.place(),
        ),
        Shadow(site.middle - 0.06 * site.sun, site.base, 0.36, 0.05, _shade(site)),
    ]


def trees(draws: Draws, site: Site) -> list[Shape]:
    """Draw a tree on each side of the building."""
    return [
        *_tree(draws, site, draws.between(0.03, 0.14)),
        *_tree(draws, site, draws.between(0.86, 0.97)),
    ]


def _tree(draws: Draws, site: Site, x: float) -> list[Shape]:
    size, base = draws.between(0.07, 0.1), site.base + draws.between(0.0, 0.06)
    green = mix(rgb(60, 120, 44), rgb(134, 140, 48), draws.between(0, 1))
    # One in three is a poplar: narrow and tall.
    reach, lift, girth, height = draws.one_of(
        ((0.25, 1.25, 0.75, 2.6), (0.85, 0.62, 1.0, 1.9), (0.85, 0.62, 1.0, 1.9))
    )
    middle = base - size * height
    clumps = tuple(
        (
            x + size * reach * right * draws.between(0.7, 1.1),
            middle + size * lift * down,
            size * girth * draws.between(0.62, 0.8),
        )
        for right, down in ((-0.8, 0.5), (0.8, 0.5), (0.0, -0.3), (-0.4, -0.9), (0.5, -0.8))
    )
    return [
        Shadow(x - 0.3 * size * site.sun, base, 1.5 * size, 0.3 * size, _shade(site)),
        Boxes((around(x, 0.12 * size),), ((middle, base),), site.plain(rgb(98, 70, 48))),
        Tree(clumps, site.light.on(green), site.sun, draws.place()),
    ]


def _woods(site: Site) -> Array:
    return site.light.on(rgb(52, 92, 58))


def _shade(site: Site) -> Array:
    return site.light.on(rgb(36, 62, 44))

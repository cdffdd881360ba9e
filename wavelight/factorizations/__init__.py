"""Factorizations: how p(image) is split into factors p(target | condition), and how each band is scaled."""

from wavelight.factorizations.base import Factor, Factorization, Pixels, Refinement, Shape
from wavelight.factorizations.latent import Latent
from wavelight.factorizations.pyramids import LaplacianPyramid, LevelByLevel, Pyramid
from wavelight.factorizations.scaling import (
    BandScaling,
    Eigenbasis,
    Half,
    Peak,
    PerChannel,
    Scalar,
    ScaledBand,
    Unscaled,
)
from wavelight.factorizations.subbands import Subbands

__all__ = [
    "BandScaling",
    "Eigenbasis",
    "Factor",
    "Factorization",
    "Half",
    "LaplacianPyramid",
    "Latent",
    "LevelByLevel",
    "Peak",
    "PerChannel",
    "Pixels",
    "Pyramid",
    "Refinement",
    "Scalar",
    "ScaledBand",
    "Shape",
    "Subbands",
    "Unscaled",
]

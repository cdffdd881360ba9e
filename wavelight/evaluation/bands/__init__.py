"""Measures of wavelet bands: how far from white, from Gaussian and how sparse, tensors in and numbers out."""

from wavelight.evaluation.bands.conditioning import (
    LinearPrediction,
    LocalScale,
    detail_shifts,
    fit_linear,
    fit_scale,
    interior,
    neighbourhoods,
)
from wavelight.evaluation.bands.gaussianity import excess_kurtosis, negentropy, sliced_wasserstein
from wavelight.evaluation.bands.histogram import BIN_VALUES, bin_counts, resample
from wavelight.evaluation.bands.pyramid import (
    KINDS,
    MEASURES,
    Interval,
    LevelMeasures,
    Measure,
    Normalization,
    analyze_pyramid,
)
from wavelight.evaluation.bands.sparsity import gini, hoyer, small_share
from wavelight.evaluation.bands.whitening import (
    Whitening,
    condition_floor,
    whiten_by_covariance,
    whiten_by_spectrum,
)

__all__ = [
    "BIN_VALUES",
    "KINDS",
    "MEASURES",
    "Interval",
    "LevelMeasures",
    "LinearPrediction",
    "LocalScale",
    "Measure",
    "Normalization",
    "Whitening",
    "analyze_pyramid",
    "bin_counts",
    "condition_floor",
    "detail_shifts",
    "excess_kurtosis",
    "fit_linear",
    "fit_scale",
    "gini",
    "hoyer",
    "interior",
    "negentropy",
    "neighbourhoods",
    "resample",
    "sliced_wasserstein",
    "small_share",
    "whiten_by_covariance",
    "whiten_by_spectrum",
]

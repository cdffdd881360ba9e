"""Metrics of generated images against real ones, and the feature networks that some of them need."""

from wavelight.metrics.base import CombinedMetric, ImageMetric, TwoSampleMetric
from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.feature_network import FeatureNetworkMetrics, write_feature_network
from wavelight.metrics.features import FeatureMetrics
from wavelight.metrics.fields import FieldDistance
from wavelight.metrics.frechet import (
    FrechetDistance,
    Gaussian,
    frechet_distance,
    gaussian_from_sums,
)
from wavelight.metrics.inception import InceptionFeatures, InceptionMetrics
from wavelight.metrics.inception_score import InceptionScore
from wavelight.metrics.kept_features import FeatureMeasure, KeptFeatures
from wavelight.metrics.kernel_distance import KernelDistance
from wavelight.metrics.neighbours import Neighbours
from wavelight.metrics.split_wavelet_distance import SplitWaveletDistance
from wavelight.metrics.sums import SumMetric
from wavelight.metrics.wavelet_distance import FrechetWaveletDistance

__all__ = [
    "CombinedMetric",
    "FeatureExtractor",
    "FeatureMeasure",
    "FeatureMetrics",
    "FeatureNetworkMetrics",
    "FieldDistance",
    "FrechetDistance",
    "FrechetWaveletDistance",
    "Gaussian",
    "ImageMetric",
    "InceptionFeatures",
    "InceptionMetrics",
    "InceptionScore",
    "KeptFeatures",
    "KernelDistance",
    "Neighbours",
    "SplitWaveletDistance",
    "SumMetric",
    "TwoSampleMetric",
    "frechet_distance",
    "gaussian_from_sums",
    "write_feature_network",
]

"""Metrics of generated images against real ones, and the feature networks that some of them need."""

from wavelight.metrics.base import CombinedMetric, ImageMetric, TwoSampleMetric
from wavelight.metrics.feature_network import FeatureNetworkMetrics, write_feature_network
from wavelight.metrics.features import FeatureExtractor, FeatureMetrics
from wavelight.metrics.fields import FieldDistance
from wavelight.metrics.frechet import Gaussian, frechet_distance, gaussian_from_sums
from wavelight.metrics.inception import InceptionFeatures, InceptionMetrics
from wavelight.metrics.precision_recall import PrecisionRecall
from wavelight.metrics.split_wavelet_distance import SplitWaveletDistance
from wavelight.metrics.sums import SumMetric
from wavelight.metrics.wavelet_distance import FrechetWaveletDistance

__all__ = [
    "CombinedMetric",
    "FeatureExtractor",
    "FeatureMetrics",
    "FeatureNetworkMetrics",
    "FieldDistance",
    "FrechetWaveletDistance",
    "Gaussian",
    "ImageMetric",
    "InceptionFeatures",
    "InceptionMetrics",
    "PrecisionRecall",
    "SplitWaveletDistance",
    "SumMetric",
    "TwoSampleMetric",
    "frechet_distance",
    "gaussian_from_sums",
    "write_feature_network",
]

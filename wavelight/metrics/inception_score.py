"""The Inception score of generated images."""

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.kept_features import FeatureMeasure, in_canonical_order
from wavelight.support.errors import OptionError, check_least

_SEED = 2016


class InceptionScore(FeatureMeasure):
    """How sure a classifier is of generated images, and how many classes they have (Salimans et al., 2016).

    exp of the mean Kullback-Leibler divergence of the classes of an image from those of all, the higher the better. It
    looks at no real image: the score of held-out real images stands beside it in a run. ``inception_score`` is
    the mean over random parts of the images, and ``inception_score_std`` their standard deviation.

    Args:
        splits: How many parts; 10 is the published choice. The fewer images a part has, the lower its score.
    """

    compares = False

    def __init__(self, splits: int = 10) -> None:
        check_least({"splits": (splits, 1)})
        self.splits = splits
        self.least = splits
        self._network: FeatureExtractor | None = None

    @property
    @override
    def identity(self) -> str:
        return f"Inception score of {self.splits} parts"

    @override
    def prepare(self, network: FeatureExtractor) -> None:
        if not network.has_classes:
            raise OptionError(
                f"measures must not hold InceptionScore for {type(network).__name__}, whose features lead to no "
                "classes: take it out, or measure it with InceptionMetrics"
            )
        self._network = network

    @override
    def values(self, generated: Tensor, real: Tensor) -> dict[str, Tensor]:
        assert self._network is not None
        generator = torch.Generator().manual_seed(_SEED)
        order = torch.randperm(len(generated), generator=generator).to(generated.device)
        parts = in_canonical_order(generated)[order].tensor_split(self.splits)
        scores = torch.stack([inception_score(self._network.logits(part)) for part in parts])
        return {
            "inception_score": scores.mean(),
            "inception_score_std": scores.std(correction=0),
        }


def inception_score(logits: Tensor) -> Tensor:
    """Return exp E KL(p(y|x) || p(y)), a float64 scalar, at least 1 (Salimans et al., 2016, section 4).

    Args:
        logits: ``(N, classes)``, N at least 1.
    """
    log_given = logits.double().log_softmax(1)
    given = log_given.exp()
    log_all = given.mean(0).log()
    # A class that no image has gives 0 times minus infinity.
    return torch.where(given > 0, given * (log_given - log_all), 0).sum(1).mean().exp()

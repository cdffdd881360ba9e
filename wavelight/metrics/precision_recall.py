"""How many generated images look real, and how many real ones could have been generated."""

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from wavelight.metrics.base import TwoSampleMetric

BLOCK = 1024
"""Distances of so many features to all others are held at a time: 205 MB for 50,000."""


class PrecisionRecall(Metric, TwoSampleMetric):
    """Improved precision and recall of generated features (Kynkäänniemi et al., 2019).

    Precision is the share of generated features that lie in the manifold of the real ones, recall the
    share of real ones in the manifold of the generated. A manifold is the union of balls round its
    features, each as wide as the distance to the k-th nearest neighbour.

    Numbers depend on the features and on both counts. Published ones mostly are StyleGAN2-ADA's
    ``pr50k3_full``: the second fully connected layer of VGG16, 50,000 generated against up to 200,000
    real images. Those of FID's Inception, which InceptionMetrics measures, are other numbers:
    compare like with like.

    Features of all images are kept, and gathered on every process: 410 MB for 50,000 of 2048
    numbers.

    Args:
        num_features: The size D of a feature.
        neighbours: k of the k-th nearest neighbour; 3 is the published choice.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    generated: list[Tensor]
    real: list[Tensor]

    def __init__(self, num_features: int, neighbours: int = 3) -> None:
        super().__init__(compute_with_cache=False)
        self.num_features = num_features
        self.neighbours = neighbours
        self.add_state("generated", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")
        self.reset()

    @override
    def update(self, features: Tensor, real: bool) -> None:
        """Keep features, ``(N, D)`` float32, of real or of generated images."""
        (self.real if real else self.generated).append(features.float())

    @override
    def compute(self) -> dict[str, Tensor]:
        """Return ``precision`` and ``recall``, float64 scalars of [0, 1]. Collective.

        Raises:
            ValueError: If there are not more real and generated features than neighbours.
        """
        real, generated = _joined(self.real), _joined(self.generated)
        if min(len(real), len(generated)) <= self.neighbours:
            raise ValueError(
                f"precision and recall with k = {self.neighbours} need at least {self.neighbours + 1} "
                f"real and generated images, got {len(real)} and {len(generated)}"
            )
        return precision_recall(generated, real, self.neighbours)

    @override
    def reset(self) -> None:
        """Forget all features."""
        super().reset()
        # One empty tensor, because torchmetrics cannot gather from a process whose list is empty.
        self.generated = [self._nothing()]
        self.real = [self._nothing()]

    @override
    def values(self) -> dict[str, Tensor]:
        return self.compute()

    @override
    def forget_generated(self) -> None:
        self.generated = [self._nothing()]

    @override
    def real_statistics(self) -> dict[str, Tensor]:
        with self.sync_context():
            return {"features": _joined(self.real)}

    @override
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        self.real = [statistics["features"].to(self.device)]

    def _nothing(self) -> Tensor:
        return torch.empty(0, self.num_features, device=self.device)


def precision_recall(generated: Tensor, real: Tensor, neighbours: int) -> dict[str, Tensor]:
    """Return ``precision`` and ``recall``, float64 (Kynkäänniemi et al., 2019, equation 2).

    Args:
        generated: ``(N, D)`` float32.
        real: ``(M, D)`` float32.
        neighbours: k; N and M must be greater.
    """
    from torch_fidelity.metric_prc import prc_features_to_metric

    # Distances go through a matrix product, which loses digits where features are far from 0.
    centre = real.double().mean(0).float()
    with torch.autocast(real.device.type, enabled=False):
        found = prc_features_to_metric(
            generated - centre,
            real - centre,
            prc_neighborhood=neighbours,
            prc_batch_size=BLOCK,
            save_cpu_ram=True,
            verbose=False,
        )
    return {
        name: real.new_tensor(found[name], dtype=torch.float64) for name in ("precision", "recall")
    }


def _joined(features: list[Tensor] | Tensor) -> Tensor:
    # Once gathered from several processes, the state is one tensor.
    return features if isinstance(features, Tensor) else torch.cat(features)

"""Models of one factor: their players, their losses, their sampler."""

from wavelight.models.base import (
    GenerativeModel,
    ModelFactory,
    NetworkFactory,
    OptimizerFactory,
    Player,
)
from wavelight.models.consistency_model import ConsistencyModel
from wavelight.models.denoising_gan import DenoisingGAN
from wavelight.models.detail_gan import DetailGAN
from wavelight.models.detail_regression import DetailRegression
from wavelight.models.detail_scoring import DetailScoring
from wavelight.models.distributional_diffusion import DistributionalDiffusion
from wavelight.models.linear_gaussian import LinearGaussian
from wavelight.models.mean_flow import MeanFlow
from wavelight.models.score_model import ScoreModel
from wavelight.models.variational_autoencoder import VariationalAutoencoder

__all__ = [
    "ConsistencyModel",
    "DenoisingGAN",
    "DetailGAN",
    "DetailRegression",
    "DetailScoring",
    "DistributionalDiffusion",
    "GenerativeModel",
    "LinearGaussian",
    "MeanFlow",
    "ModelFactory",
    "NetworkFactory",
    "OptimizerFactory",
    "Player",
    "ScoreModel",
    "VariationalAutoencoder",
]

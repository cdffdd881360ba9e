"""WSGM: a score model of the coarsest band, and one of the details of each scale given the band they refine."""

from pathlib import Path

from lightning.pytorch.cli import LRSchedulerCallable

from wavelight.factorizations.pyramids import Pyramid
from wavelight.factorizations.scaling import BandScaling
from wavelight.models.score_model import ScoreModel
from wavelight.systems.base import ImageGenerator


class WSGM(ImageGenerator):
    """Wavelet score-based generative modelling (Guth, Coste, De Bortoli and Mallat, 2022).

    Args:
        coarse: The score model of the coarsest band.
        details: Score models of the details, the coarsest level's first; their number is that of the
            levels. A network sees three bands, and the coarse band of its level as its condition.
        image_size: Side of the images, in pixels; on the command line it follows the data's.
        seed: Seed of all noise; on the command line it follows ``seed_everything``.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled: ``PerChannel`` (the default, as in the published code) or
            ``Scalar`` (one number a band, as in the paper's theory).
        channels: Channels of the images.
        scheduler: Makes the schedule of every learning rate, stepped once an epoch; none keeps them.
        train: Indices of the factors that learn, 0 for the coarsest band, 1 for the details of the
            coarsest level, and so on; none means all.
        accumulate_grad_batches: Into how many parts each device's share of a batch is cut to save memory.
        gradient_clip_val: Largest norm of a player's gradient; none does not clip.
        bounded: Whether pixels lie in [-1, 1], so that generated images are clamped there.
        start_from: Weights that a new run starts from (fine-tuning).

    Raises:
        ValueError: If the parts do not go together, in one sentence that says which.
    """

    def __init__(
        self,
        coarse: ScoreModel,
        details: list[ScoreModel],
        image_size: int,
        seed: int,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        channels: int = 3,
        scheduler: LRSchedulerCallable | None = None,
        train: list[int] | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        bounded: bool = True,
        start_from: Path | None = None,
    ) -> None:
        super().__init__(
            factorization=Pyramid(len(details), wavelet, scaling, channels),
            models=[coarse, *details],
            image_size=image_size,
            seed=seed,
            channels=channels,
            scheduler=scheduler,
            train=train,
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
            bounded=bounded,
            start_from=start_from,
        )

"""SGM: a score model of pixels."""

from pathlib import Path

from lightning.pytorch.cli import LRSchedulerCallable

from wavelight.factorizations.base import Pixels
from wavelight.models.score_model import ScoreModel
from wavelight.systems.base import ImageGenerator


class SGM(ImageGenerator):
    """A score-based generative model of whole images (Song et al., 2021), with which WSGM is compared.

    Args:
        model: The score model; its network sees ``channels`` at the image's side.
        image_size: Side of the images, in pixels; on the command line it follows the data's.
        seed: Seed of all noise; on the command line it follows ``seed_everything``.
        channels: Channels of the images.
        scheduler: Makes the schedule of the learning rate, stepped once an epoch; none keeps it.
        accumulate_grad_batches: Into how many parts each device's share of a batch is cut to save memory.
        gradient_clip_val: Largest norm of the gradient; none does not clip.
        bounded: Whether pixels lie in [-1, 1], so that generated images are clamped there.
        start_from: Weights that a new run starts from (fine-tuning).
    """

    def __init__(
        self,
        model: ScoreModel,
        image_size: int,
        seed: int,
        channels: int = 3,
        scheduler: LRSchedulerCallable | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        bounded: bool = True,
        start_from: Path | None = None,
    ) -> None:
        super().__init__(
            factorization=Pixels(),
            models=[model],
            image_size=image_size,
            seed=seed,
            channels=channels,
            scheduler=scheduler,
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
            bounded=bounded,
            start_from=start_from,
        )

"""LDM: a model of the latent of a frozen autoencoder."""

from pathlib import Path
from typing import Unpack

from torch import Tensor
from typing_extensions import override

from wavelight.factorizations import BandScaling, Latent
from wavelight.factors import FactorShape
from wavelight.models import ModelFactory, NetworkFactory
from wavelight.models.variational_autoencoder import AUTOENCODER
from wavelight.systems.base import ImageGenerator, SystemOptions
from wavelight.weights import check_same_tensors, read_checkpoint, read_safetensors, state_of

_PREFIX = f"models.0.{AUTOENCODER}."


class LDM(ImageGenerator):
    """Latent diffusion (Rombach et al., 2022): any model of the latent of an autoencoder that was trained before.

    The autoencoder's weights are read once, when a new run begins, and are then part of the run's checkpoints: these
    sample without the first file.

    Args:
        model: The model of the latent.
        autoencoder: The network of the autoencoder, as it was trained.
        autoencoder_weights: A checkpoint of a run that trained it as a
            :class:`wavelight.models.VariationalAutoencoder`, or what ``export`` made of one.
        scaling: How the latent is scaled: ``PerChannel`` (the default) or another.
        **options: Those of every system.

    Raises:
        ValueError: If the parts do not go together, in one sentence that says which.
    """

    def __init__(
        self,
        model: ModelFactory,
        autoencoder: NetworkFactory,
        autoencoder_weights: Path | None = None,
        scaling: BandScaling | None = None,
        **options: Unpack[SystemOptions],
    ) -> None:
        shape = FactorShape.square(options.get("channels", 3), options["image_size"])
        super().__init__(
            factorization=Latent(autoencoder(shape), scaling), models=[model], **options
        )
        self.autoencoder_weights = autoencoder_weights

    @override
    def on_fit_start(self) -> None:
        # A run that goes on, or starts from another's weights, has the autoencoder's among them.
        if self.images_seen == 0 and self.start_from is None:
            self._load_autoencoder()
        super().on_fit_start()

    def _load_autoencoder(self) -> None:
        if self.autoencoder_weights is None:
            raise ValueError(
                "autoencoder_weights must be a checkpoint of a trained autoencoder for a new run, got none: train "
                "experiments/cifar10_small_autoencoder.yaml, and give --model.autoencoder_weights"
            )
        state = autoencoder_state(Path(self.autoencoder_weights))
        (network,) = self.factorization.networks().values()
        try:
            check_same_tensors(network, state)
        except ValueError as error:
            raise ValueError(
                f"autoencoder_weights must hold the weights of model.autoencoder, got {self.autoencoder_weights}: "
                f"{error}"
            ) from error
        network.load_state_dict(state)


def autoencoder_state(path: Path) -> dict[str, Tensor]:
    """Read the EMA weights of an autoencoder, under its own names.

    Args:
        path: A checkpoint of a system with one :class:`wavelight.models.VariationalAutoencoder`, or an exported file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or no checkpoint of wavelight.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    state = state_of(read_checkpoint(path))
    return {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in state.items()
        if name.startswith(_PREFIX)
    }

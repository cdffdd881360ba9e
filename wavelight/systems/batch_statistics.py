"""Batch normalization in training: refused where it would see less than the global batch."""

from torch import nn

from wavelight.networks.batch_statistics import BATCH_NORMALIZATIONS, BatchNorm2d
from wavelight.support.errors import OptionError
from wavelight.systems.parts import Parts

_SYNCHRONISED = (BatchNorm2d, nn.SyncBatchNorm)


def check_batch_statistics(name: str, model: nn.Module, parts: Parts) -> None:
    """Check that batch normalization sees whole batches.

    Args:
        name: The model's.
        model: A model that learns.
        parts: How batches are cut.

    Raises:
        OptionError: If it does not, in one sentence that names the layer.
    """
    layers = {
        f"{name}.{path}": module
        for path, module in model.named_modules()
        if isinstance(module, BATCH_NORMALIZATIONS) and module.training
    }
    for path, layer in layers.items():
        if parts.number > 1:
            raise OptionError(
                f"accumulate_grad_batches must be 1 with batch normalization ({path}), whose statistics would be those "
                f"of a part of the batch, got {parts.number}: take more devices, or a network without"
            )
        if parts.processes > 1 and not isinstance(layer, _SYNCHRONISED):
            raise OptionError(
                f"{path} must normalize over the images of all {parts.processes} processes, got "
                f"{type(layer).__name__}, which sees those of one: take "
                "wavelight.networks.batch_statistics.BatchNorm2d"
            )

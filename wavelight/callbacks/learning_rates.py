"""Learning rates in the logs, by network."""

from typing import Any

import lightning as L
import torch
from typing_extensions import override

from wavelight.systems import ImageGenerator


class LearningRates(L.Callback):
    """Logs the learning rate of each network, ``lr/generator``, or ``lr/0/generator`` among several models."""

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if (batch_idx + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        names = _short_names(pl_module.learners())
        for name, optimizer in zip(names, trainer.optimizers, strict=True):
            rate = torch.as_tensor(optimizer.param_groups[0]["lr"], dtype=torch.float64)
            pl_module.log(f"lr/{name}", rate)


def _short_names(networks: list[str]) -> list[str]:
    """Return the names of networks without ``models``, and without its number where there is one.

    >>> _short_names(["models.0.generator", "models.0.discriminator"])
    ['generator', 'discriminator']
    >>> _short_names(["models.0.network", "models.1.network"])
    ['0/network', '1/network']
    """
    parts = [name.split(".")[1:] for name in networks]
    several = len({number for number, *_ in parts}) > 1
    return ["/".join(part if several else part[1:]) for part in parts]

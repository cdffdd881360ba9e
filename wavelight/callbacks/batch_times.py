"""The time and the memory of sampling, batch by batch, while images are measured."""

from typing import Any

import lightning as L
import torch
from typing_extensions import override

from wavelight.support.peak_memory import peak_memory
from wavelight.support.stopwatch import clock


class BatchTimes(L.Callback):
    """Takes the time of each batch that validation and test steps sample, until the device has done it.

    To be called before other callbacks, whose work with a batch would count, too.

    Attributes:
        peak_memory: In bytes: of a GPU's tensors while it sampled, else of the process since it began.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[int, float]] = []
        self._begun = 0.0
        self.peak_memory = 0

    @property
    def images(self) -> int:
        """How many images were sampled."""
        return sum(images for images, _ in self._batches)

    @property
    def milliseconds(self) -> float:
        """Time to sample one image, by all batches but the first, which also warms up; by that if it is alone."""
        batches = self._batches[1:] or self._batches
        return 1e3 * sum(time for _, time in batches) / sum(images for images, _ in batches)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batches, self.peak_memory = [], 0

    @override
    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batches, self.peak_memory = [], 0

    @override
    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        self._begin(pl_module.device)

    @override
    def on_test_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        self._begin(pl_module.device)

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._end(pl_module.device, outputs)

    @override
    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._end(pl_module.device, outputs)

    def _begin(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._begun = clock(device)

    def _end(self, device: torch.device, outputs: Any) -> None:
        self._batches.append((len(outputs["image"]), clock(device) - self._begun))
        self.peak_memory = max(self.peak_memory, peak_memory(device))

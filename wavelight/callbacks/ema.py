"""Exponential moving average of the weights that sample images."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import override

from wavelight.networks.batch_statistics import BATCH_NORMALIZATIONS
from wavelight.systems import ImageGenerator
from wavelight.weights import TRAINING_KEY

_LARGEST_WIDTH = 0.288
"""Nearly that of the mean of all batches, 1 / sqrt(12)."""


class ExponentialMovingAverage(L.Callback):
    """Keeps an EMA of the networks that sample images, and swaps it in whenever images are generated.

    The EMA starts as a copy of the weights after the first batch and moves by ``1 - decay`` towards
    them after every other. A checkpoint's ``state_dict`` holds the EMA weights, so that whoever loads it
    samples from them; the weights that optimizers step are beside it. Lightning's own averaging counts
    optimizer steps, of which a batch here has several, and misses all of them.

    Args:
        decay: The share of the EMA that is kept at a batch, 0 to below 1: 0.9999 for the
            published CIFAR-10.
        relative_width: The EMA's width as a share of the run so far, above 0 and at most 0.288, whatever the run's
            length: the standard deviation of the batches that it averages, 0.05 to 0.1 as published (Karras et al.,
            2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3.1 and appendix C).
            At batch t then (1 - 1/t)^(gamma + 1) is kept, but at most ``decay``. None keeps ``decay`` from the start.

    Raises:
        ValueError: If ``decay`` is not in [0, 1), or ``relative_width`` not in (0, 0.288].
    """

    def __init__(self, decay: float, relative_width: float | None = None) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        if relative_width is not None and not 0 < relative_width <= _LARGEST_WIDTH:
            raise ValueError(
                f"relative_width must be above 0 and at most {_LARGEST_WIDTH}, got {relative_width}"
            )
        self.decay = decay
        self.relative_width = relative_width
        self._exponent = None if relative_width is None else exponent_of_width(relative_width)
        self._ema: dict[str, Tensor] = {}
        self._swapped = False

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Restored on the CPU, before the networks move to their device.
        self._ema = {name: ema.to(pl_module.device) for name, ema in self._ema.items()}

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
        weights = ema_tensors(pl_module)
        if not self._ema:
            self._ema = {name: weight.clone() for name, weight in weights.items()}
            return
        emas = [self._ema[name] for name in weights]
        decay = self.decay_at(pl_module.batches_seen)
        get_ema_multi_avg_fn(decay)(emas, list(weights.values()), None)

    def decay_at(self, batches: int) -> float:
        """Return the share of the EMA that the last of so many batches leaves.

        Args:
            batches: Seen by the run, with that one; at least 1.
        """
        if self._exponent is None:
            return self.decay
        return min(self.decay, (1 - 1 / batches) ** (self._exponent + 1))

    @contextmanager
    def applied(self, pl_module: L.LightningModule) -> Iterator[None]:
        """Sample from the EMA weights inside this context; nothing changes where they are in use, or not there yet."""
        if self._swapped or not self._ema:
            yield
            return
        self._swap(pl_module)
        try:
            yield
        finally:
            self._swap(pl_module)

    def _swap(self, pl_module: L.LightningModule) -> None:
        swap(pl_module, self._ema)
        self._swapped = not self._swapped

    def _swap_in(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._ema and not self._swapped:
            self._swap(pl_module)

    def _swap_out(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._swapped:
            self._swap(pl_module)

    on_validation_start = on_test_start = on_predict_start = _swap_in
    on_validation_end = on_test_end = on_predict_end = _swap_out

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._swap_out(trainer, pl_module)

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if not self._ema:
            return
        in_use = ema_tensors(pl_module)
        ema, training = (in_use, self._ema) if self._swapped else (self._ema, in_use)
        checkpoint["state_dict"].update(ema)
        checkpoint[TRAINING_KEY] = dict(training)

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._ema, self._swapped = {}, False
        if trainer.state.fn != TrainerFn.FITTING or TRAINING_KEY not in checkpoint:
            return
        weights = ema_tensors(pl_module)
        self._ema = {name: weight.clone() for name, weight in weights.items()}
        for name, weight in weights.items():
            weight.copy_(checkpoint[TRAINING_KEY][name])


def exponent_of_width(relative_width: float) -> float:
    """Return gamma, 0 or more, of the weights t^gamma whose standard deviation is this share of the run.

    It solves (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) = width^2 (Karras et al., 2024, algorithm 2).

    >>> round(exponent_of_width(0.1), 2), round(exponent_of_width(0.05), 2)
    (6.94, 16.97)
    """
    inverse = relative_width**-2
    return float(np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse]).real.max())


@contextmanager
def ema_weights(trainer: L.Trainer, pl_module: L.LightningModule) -> Iterator[None]:
    """Sample from EMA weights inside this context, where a callback of the trainer keeps them."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ExponentialMovingAverage):
            with callback.applied(pl_module):
                yield
            return
    yield


def swap(pl_module: L.LightningModule, tensors: dict[str, Tensor]) -> None:
    """Swap the weights that a system samples from with others, by their names; twice changes nothing."""
    # Values move, tensors stay: DDP, optimizers and compiled networks hold on to the tensors.
    for name, weight in ema_tensors(pl_module).items():
        weight_before = weight.clone()
        weight.copy_(tensors[name])
        tensors[name].copy_(weight_before)


def ema_tensors(pl_module: L.LightningModule) -> dict[str, Tensor]:
    """Return the tensors that training moves and sampling uses, by their names in the state dict.

    These are parameters, and the running statistics of batch normalization, which belong to them:
    EMA weights with the last ones' statistics sample worse than either's own.
    """
    assert isinstance(pl_module, ImageGenerator)
    return {
        f"{prefix}.{name}": tensor.detach()
        for prefix, network in pl_module.sampling_networks().items()
        for name, tensor in (*network.named_parameters(), *_statistics(network))
    }


def _statistics(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in network.named_modules():
        if isinstance(module, BATCH_NORMALIZATIONS) and module.track_running_stats:
            for name in ("running_mean", "running_var"):
                yield f"{prefix}.{name}", module.get_buffer(name)

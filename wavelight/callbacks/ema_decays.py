"""EMAs of several decays beside a run's own, and which of them samples best."""

from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import override

from wavelight.callbacks.ema import ema_tensors, swap
from wavelight.callbacks.evaluation import Evaluation
from wavelight.metrics.directions import higher_is_better
from wavelight.support.errors import OptionError
from wavelight.systems import ImageGenerator

EMAS_KEY = "wavelight_emas"
"""Key of a checkpoint's EMAs of further decays: the tensors of each by its decay."""


class EMADecays(L.Callback):
    """Keeps EMAs of further decays, measures each where a run's own is evaluated, and says which is best.

    The best decay is not known before a run, grows with its length, and differs between metrics (Karras et al., 2024,
    "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3). Each costs a copy of the weights,
    in memory and in checkpoints, and one evaluation more; its metrics are logged as ``val/fid10k_ema0_999``.

    Args:
        decays: The share of each EMA that is kept at a batch, each 0 to below 1; none keeps only the run's own.
        use: The decay whose EMA ``test``, ``validate`` and ``predict`` sample from; none takes the run's own.

    Raises:
        ValueError: If a decay is not in [0, 1).
        OptionError: If a checkpoint has no EMA of the decay to use.
    """

    def __init__(self, decays: Sequence[float] = (), use: float | None = None) -> None:
        for decay in decays:
            if not 0 <= decay < 1:
                raise ValueError(f"ema_decays.decays must be at least 0 and below 1, got {decay}")
        self.decays = list(dict.fromkeys(decays))
        self.use = use
        self._used = False
        self._emas: dict[float, dict[str, Tensor]] = {}

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._check_used(trainer, pl_module)
        # Restored on the CPU, before the networks move to their device.
        self._emas = {
            decay: {name: tensor.to(pl_module.device) for name, tensor in ema.items()}
            for decay, ema in self._emas.items()
        }

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        weights = ema_tensors(pl_module) if self.decays else {}
        for decay in self.decays:
            if decay not in self._emas:
                self._emas[decay] = {name: weight.clone() for name, weight in weights.items()}
                continue
            emas = [self._emas[decay][name] for name in weights]
            get_ema_multi_avg_fn(decay)(emas, list(weights.values()), None)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._check_used(trainer, pl_module)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # In a run of its own a checkpoint's decay is chosen, and an untrained network has none.
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or not self._emas:
            return
        for evaluation in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(evaluation, Evaluation):
                self._compare(trainer, pl_module, evaluation)

    def _compare(
        self, trainer: L.Trainer, pl_module: L.LightningModule, evaluation: Evaluation
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        # The run's own EMA, which has been measured just before, if there was anything to measure.
        seen, own = evaluation.history[-1] if evaluation.history else (-1, {})
        if seen != pl_module.images_seen:
            return
        found = {"the run's own": own}
        for decay, ema in self._emas.items():
            swap(pl_module, ema)
            try:
                measured = evaluation.measure_weights(trainer, pl_module).named("val")
            finally:
                swap(pl_module, ema)
            found[f"{decay:g}"] = measured
            for name, value in measured.items():
                # To W&B a dot is a step down into a dictionary.
                decay_name = f"{decay:g}".replace(".", "_")
                pl_module.log(f"{name}_ema{decay_name}", value, sync_dist=True)
        for name in own:
            values = {decay: measured[name] for decay, measured in found.items()}
            best = (max if higher_is_better(name) else min)(values, key=values.__getitem__)
            told = ", ".join(f"{decay} {value:.4g}" for decay, value in values.items())
            trainer.print(f"EMA decays by {name}: {best} is best ({told})")

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._emas:
            checkpoint[EMAS_KEY] = {decay: dict(ema) for decay, ema in self._emas.items()}

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        emas: dict[float, dict[str, Tensor]] = checkpoint.get(EMAS_KEY, {})
        weights = ema_tensors(pl_module)
        if trainer.state.fn == TrainerFn.FITTING:
            self._emas = {
                decay: {name: emas[decay][name].clone() for name in weights}
                for decay in self.decays
                if decay in emas
            }
        elif self.use is not None:
            if self.use not in emas:
                raise OptionError(
                    f"ema_decays.use must be one of the checkpoint's decays, got {self.use:g}; it has "
                    f"{', '.join(f'{decay:g}' for decay in emas) or 'none'}"
                )
            for name, weight in weights.items():
                weight.copy_(emas[self.use][name])
            self._used = True

    def _check_used(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.use is not None and not self._used:
            raise OptionError(
                f"ema_decays.use must go with a checkpoint to measure or to sample from, got {self.use:g} without one"
            )

    on_test_start = on_predict_start = _check_used


def weights_of(trainer: L.Trainer, checkpoint: str) -> str:
    """Return what weights a trainer measures, by the name of their checkpoint and the decay of their EMA, if chosen.

    Args:
        trainer: In ``test`` or ``validate``.
        checkpoint: The name of the file.
    """
    chosen = [each.use for each in trainer.callbacks if isinstance(each, EMADecays)]  # type: ignore[attr-defined]
    decay = next((use for use in chosen if use is not None), None)
    return checkpoint if decay is None else f"{checkpoint}, EMA {decay:g}"

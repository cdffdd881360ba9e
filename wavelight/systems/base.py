"""The LightningModule that trains and samples any factorization with any models."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Required, TypedDict, cast

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from typing_extensions import override

from wavelight.factorizations.base import Factor, Factorization, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.models import GenerativeModel, ModelFactory, Player
from wavelight.networks.compiled import Compiled
from wavelight.networks.dropout import drops_features, image_masks
from wavelight.noise import Noise
from wavelight.support.collectives import mean
from wavelight.support.errors import check_least
from wavelight.support.private_names import set_ddp_option
from wavelight.systems.batch_statistics import check_batch_statistics
from wavelight.systems.divergence import BadTerm, DivergedError, LossWatch, not_finite
from wavelight.systems.parts import Parts, group_of
from wavelight.weights import check_same_tensors, load_weights

CONFIG_KEY = "wavelight_config"
PROGRESS_KEY = "wavelight_progress"

_SAMPLING_STREAM = 0
_FIRST_TRAINING_STREAM = 1
_FIRST_MASK_STREAM = 2**15


def sampling_noise(seed: int, index: Tensor, factor: int) -> Noise:
    """Return the noise from which a factor of images is generated, by the system and whoever joins it.

    Args:
        seed: The seed of the set of images.
        index: ``(N,)`` int64: the numbers of the images, to which it belongs.
        factor: The number of the factor, from 0 for the coarsest.
    """
    return Noise(seed, index, stream=_SAMPLING_STREAM + (factor << 8))


class SystemOptions(TypedDict, total=False):
    """The options of every system, see :class:`ImageGenerator`."""

    image_size: Required[int]
    seed: Required[int]
    channels: int
    scheduler: LRSchedulerCallable | None
    train: list[int] | None
    accumulate_grad_batches: int
    gradient_clip_val: float | None
    log_gradient_norms: bool
    max_skipped_steps: int
    bounded: bool
    start_from: Path | None


def one_a_level(
    details: ModelFactory | Sequence[ModelFactory], levels: int, share: bool = False
) -> Sequence[ModelFactory]:
    """Return what builds the model of each level's details.

    Args:
        details: One for all levels, alone or in a list, or one a level, the coarsest first.
        levels: Of the pyramid.
        share: Whether all levels share one model.

    Raises:
        ValueError: If there are neither one nor as many as levels, or several to be shared.
    """
    several = details if isinstance(details, Sequence) else [details]
    if len(several) > 1 and share:
        raise ValueError(
            f"details must be one model where share_details is true, got a list of {len(several)}"
        )
    if len(several) == levels > 1:
        return several
    if len(several) != 1:
        raise ValueError(
            f"details must be one model for all levels or a list of one a level, got {len(several)} for levels "
            f"{levels}"
        )
    # Factors that name the same object share a model.
    return [several[0] if share else partial(several[0]) for _ in range(levels)]


class ImageGenerator(L.LightningModule):
    """Trains and samples p(image) = product of p(target | condition), one model per factor.

    Optimization is manual, because several players take turns on one batch. ``trainer.global_step``
    therefore counts turns, not batches: everything here is scheduled by epoch or by images seen.

    Args:
        factorization: How an image is split into factors.
        models: What builds the model of each factor, in the factorization's order. Factors share the model of
            one that is named several times, which is built for the first of them: its players have one
            optimizer each, and a turn for each factor.
        image_size: Side of the images, in pixels; on the command line it follows the data's.
        seed: Seed of all noise; on the command line it follows ``seed_everything``.
        channels: Channels of the images.
        scheduler: Makes the schedule of every learning rate, stepped once an epoch; none keeps the
            rates.
        train: Indices of the factors that learn; none means all.
        accumulate_grad_batches: Into how many parts each device's share of a batch is cut to save memory;
            gradients are summed. It changes nothing else, and is refused where it would.
        gradient_clip_val: Largest norm of a player's gradient; none does not clip.
        log_gradient_norms: Whether the norm of each player's gradient is logged, before it is clipped.
        max_skipped_steps: How many optimizer steps of a run may be skipped because a gradient is not finite, before
            training counts as diverged. Above 0 each step waits for the device to look at its gradient.
        bounded: Whether pixels lie in [-1, 1], so that generated images are clamped there; false for
            fields.
        start_from: Weights that a new run starts from (fine-tuning): a checkpoint, an exported or a
            published generator.

    Raises:
        ValueError: If the parts do not go together, in one sentence that says which.
    """

    def __init__(
        self,
        factorization: Factorization,
        models: list[ModelFactory],
        image_size: int,
        seed: int,
        channels: int = 3,
        scheduler: LRSchedulerCallable | None = None,
        train: list[int] | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        log_gradient_norms: bool = False,
        max_skipped_steps: int = 0,
        bounded: bool = True,
        start_from: Path | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.factorization = factorization
        self.image_size = image_size
        self.seed = seed
        self.channels = channels
        self.scheduler = scheduler
        self.train_factors = list(range(len(models))) if train is None else train
        self.accumulate_grad_batches = accumulate_grad_batches
        self.clip_norm = gradient_clip_val
        self.log_gradient_norms = log_gradient_norms
        self.max_skipped_steps = max_skipped_steps
        self.bounded = bounded
        self.start_from = start_from
        self.images_seen = 0
        self.batches_seen = 0
        self.epochs_seen = 0
        self.skipped_steps = 0
        self._loss_watch = LossWatch()
        self.config_text = ""
        self.has_begun = False
        self.target_shapes = self._target_shapes(len(models))
        # A shared model is kept once, so that its weights have one name.
        distinct = list(dict.fromkeys(models))
        self._model_of_factor = [distinct.index(model) for model in models]
        self.models = nn.ModuleList(
            build(self._factor_shape(models.index(build))) for build in distinct
        )
        self._group = group_of(self.models)
        self._drops_features = drops_features(self.models)
        bounded_targets = bounded and factorization.bounded()
        for number, model in enumerate(self._distinct_models()):
            model.check(bounded_targets)
            factors = [i for i, each in enumerate(self._model_of_factor) if each == number]
            model.check_shared([self._factor_shape(index) for index in factors])

    @property
    def _image_shape(self) -> Shape:
        return self.channels, self.image_size, self.image_size

    def _factor_shape(self, index: int) -> FactorShape:
        conditions = self.factorization.condition_channels(self._image_shape)
        return FactorShape(*self.target_shapes[index], conditions[index])

    def _target_shapes(self, models: int) -> list[Shape]:
        shapes = self.factorization.target_shapes(self._image_shape)
        if len(shapes) != models:
            raise ValueError(
                f"models must be one for each of the {len(shapes)} factors of {type(self.factorization).__name__}, got "
                f"{models}"
            )
        if not set(self.train_factors) <= set(range(len(shapes))) or not self.train_factors:
            raise ValueError(
                f"train must name factors from 0 to {len(shapes) - 1}, got {self.train_factors}"
            )
        check_least(
            {
                "accumulate_grad_batches": (self.accumulate_grad_batches, 1),
                "max_skipped_steps": (self.max_skipped_steps, 0),
            }
        )
        return shapes

    def check_data(self, data: L.LightningDataModule | None) -> None:
        """Check that data are of the kind that the system samples, before they are fetched or measured.

        Args:
            data: A data module; one of another make than :class:`data_modules.WaveletDataModule` may
                say nothing of its images, and then passes.

        Raises:
            ValueError: If they are not, in one sentence that names the option to change.
        """
        channels = getattr(data, "channels", self.channels)
        if channels != self.channels:
            raise ValueError(
                f"channels of {type(self).__name__} must be those of the data, {channels}, got {self.channels}: give "
                f"--data.channels {channels}"
            )
        if data is None or not hasattr(data, "value_range"):
            return
        if data.value_range is None and self.bounded:
            raise ValueError(
                f"bounded of {type(self).__name__} must be false for data without bounds, got true, which clamps "
                "samples to [-1, 1]: give --model.init_args.bounded false"
            )
        if data.value_range is not None and not self.bounded:
            low, high = data.value_range
            raise ValueError(
                f"bounded of {type(self).__name__} must be true for data in [{low:g}, {high:g}], got false: give "
                "--model.init_args.bounded true"
            )

    # --- training ---

    @override
    def setup(self, stage: str) -> None:
        if stage == "fit":
            self._check_parts()
        strategy = self.trainer.strategy
        players = sum(len(model.players()) for model in self.factor_models())
        if isinstance(strategy, DDPStrategy) and players > 1:
            # Each turn leaves the other players' parameters unused, which DDP must know before
            # it wraps us.
            set_ddp_option(strategy, "find_unused_parameters", True)

    @override
    def on_fit_start(self) -> None:
        # What brings weights brings the statistics that they were learnt with, too; measuring again
        # would move a model under its weights.
        measured = self.images_seen > 0
        if self.start_from is not None and self.images_seen == 0:
            missing = load_weights(self, Path(self.start_from))
            rest = f"; {len(missing)} tensors that it lacks start afresh" if missing else ""
            rank_zero_info(f"Starting from the weights of {self.start_from}{rest}.")
            measured = not any(name.startswith("factorization.") for name in missing)
        if self.factorization.needs_statistics() and not measured:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            bands, levels = self.factorization.bands, self.factorization.levels
            self.factorization.fit(data.band_statistics(bands, levels, self.factorization.split))

    @override
    def configure_optimizers(self) -> Any:
        optimizers = [
            player.optimizer(player.network.parameters()) for player in self._learners().values()
        ]
        if self.scheduler is None:
            return optimizers
        schedulers = [self.scheduler(optimizer) for optimizer in optimizers]
        if any(isinstance(scheduler, ReduceLROnPlateau) for scheduler in schedulers):
            raise ValueError(
                "model.init_args.scheduler must be a schedule by epochs, got ReduceLROnPlateau, which waits for a "
                "metric; take one such as torch.optim.lr_scheduler.CosineAnnealingLR"
            )
        return optimizers, schedulers

    @override
    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        parts = self._parts()
        parts.check(len(batch["index"]))
        batch = parts.ordered(batch)
        with torch.autocast(self.device.type, enabled=False), torch.no_grad():
            factors = [
                factor.labelled(batch.get("label"))
                for factor in self.factorization.encode(batch["image"])
            ]
        optimizers = dict(zip(self._learners(), _as_list(self.optimizers()), strict=True))
        # Networks of others may sample from PyTorch's own generators, which a resumed run would find elsewhere.
        torch.manual_seed(hash((self.seed, self.batches_seen, self.global_rank)))
        curves: dict[str, Tensor] = {}
        for i, (index, name) in enumerate(self._turns()):
            noise = Noise(self.seed, batch["index"], _FIRST_TRAINING_STREAM + i)
            masks = Noise(self.seed, batch["index"], _FIRST_MASK_STREAM + i)
            optimizer = optimizers[self._model_of_factor[index], name]
            terms = self._take_turn(index, name, factors[index], noise, masks, optimizer)
            prefix = f"train/{name}" if len(factors) == 1 else f"train/{index}/{name}"
            curves |= {f"{prefix}/{term}": value for term, value in terms.items()}
        self._log_means(curves)
        if self.max_skipped_steps:
            self.log("train/skipped_steps", float(self.skipped_steps))
        self.has_begun = True
        self.batches_seen += 1
        self.images_seen += len(batch["index"]) * self.trainer.world_size

    def _log_means(self, curves: Mapping[str, Tensor]) -> None:
        """Log the mean of each term over processes, whose shares are equal, by one message for all terms."""
        if curves:
            means = mean(torch.stack(list(curves.values()))).unbind()
            self.log_dict(dict(zip(curves, means, strict=True)))

    def _take_turn(
        self,
        index: int,
        player: str,
        factor: Factor,
        noise: Noise,
        masks: Noise,
        optimizer: LightningOptimizer,
    ) -> dict[str, Tensor]:
        """Let one player learn from a batch, and return the terms of its loss; none where it rests."""
        total: dict[str, Tensor] = {}
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            for start, stop in self._parts().ranges(len(factor.target)):
                share = (stop - start) / len(factor.target)
                last = stop == len(factor.target)
                with (
                    nullcontext() if last else self._unsynchronised(),
                    image_masks(masks.part(start, stop)) if self._drops_features else nullcontext(),
                ):
                    terms = self._model(index).losses(
                        player,
                        factor.part(start, stop),
                        self.batches_seen,
                        noise.part(start, stop),
                    )
                    if not terms:
                        return {}
                    self.manual_backward(torch.stack(list(terms.values())).sum() * share)
                for term, value in terms.items():
                    total[term] = total.get(term, 0) + value.detach() * share
            if self._skips(index, player, optimizer):
                return total
            norm = self._clip(optimizer)
            optimizer.step()
        self._loss_watch.note(index, player, total, self.batches_seen + 1)
        return total if norm is None else total | {"gradient_norm": norm}

    def _clip(self, optimizer: LightningOptimizer) -> Tensor | None:
        """Clip a gradient, and return its norm before, where one of the two is wanted."""
        norm = None
        if self.clip_norm is not None:
            # Lightning's refuses fused optimizers in mixed precision, for a scale that bfloat16 does not need.
            norm = nn.utils.clip_grad_norm_(_weights(optimizer), self.clip_norm)
        elif self.log_gradient_norms:
            norm = nn.utils.get_total_norm(_gradients(optimizer))
        return norm if self.log_gradient_norms else None

    def _skips(self, index: int, player: str, optimizer: LightningOptimizer) -> bool:
        """Tell whether a step is left out, because a gradient is not finite and such steps may be left out."""
        if not self.max_skipped_steps:
            return False
        if torch.stack([each.isfinite().all() for each in _gradients(optimizer)]).all():
            return False
        self.skipped_steps += 1
        if self.skipped_steps > self.max_skipped_steps:
            raise DivergedError(
                f"training has diverged: the gradient of {self._of_factor(index, player)} is not finite in batch "
                f"{self.batches_seen + 1}, after {self.max_skipped_steps} steps that max_skipped_steps let it skip"
            )
        return True

    def _check_parts(self) -> None:
        """Refuse, before any work, to cut batches into parts that are other science than the whole."""
        parts = self._parts()
        batch_size = getattr(self.trainer.datamodule, "batch_size", None)  # type: ignore[attr-defined]
        if batch_size is not None:
            parts.check(batch_size // parts.processes)
        for number in sorted({self._model_of_factor[index] for index in self.train_factors}):
            check_batch_statistics(f"models.{number}", self.models[number], parts)

    def _parts(self) -> Parts:
        return Parts(self.accumulate_grad_batches, self._group, self.trainer.world_size)

    def _unsynchronised(self) -> Any:
        """Return a context in which a backward pass leaves the gradients of other processes alone."""
        wrapped = self.trainer.strategy.model
        no_sync = getattr(wrapped, "no_sync", None)
        return nullcontext() if no_sync is None else no_sync()

    @override
    def on_train_epoch_end(self) -> None:
        self.refuse_divergence()
        self.epochs_seen += 1
        for scheduler in _as_list(self.lr_schedulers()):
            scheduler.step()

    def refuse_divergence(self) -> None:
        """Stop before a checkpoint of good weights is overwritten by one of bad ones; collective.

        Raises:
            DivergedError: If a loss, a weight or an optimizer's state is not finite; the message names the first.
        """
        bad = self._loss_watch.first()
        if bad is not None:
            raise DivergedError(f"training has diverged: {self._in_words(bad)}")
        name = not_finite(self, self.trainer.optimizers)
        if name is not None:
            raise DivergedError(
                f"training has diverged: {name} is not finite after batch {self.batches_seen}"
            )

    def _in_words(self, bad: BadTerm) -> str:
        prefix = f"{bad.factor}/" if len(self.target_shapes) > 1 else ""
        return (
            f"train/{prefix}{bad.player}/{bad.term} is not finite in batch {bad.batch}, a term of "
            f"{self._of_factor(bad.factor, bad.player)}"
        )

    def _of_factor(self, index: int, player: str) -> str:
        return f"the {player} of the {self.factorization.factor_name(index)}"

    # --- sampling ---

    def generate(self, index: Tensor, seed: int, label: Tensor | None = None) -> Tensor:
        """Sample the images of these numbers.

        Image ``i`` of a seed is one image, on any number of processes and at any batch size, up to
        the rounding of the networks' arithmetic.

        Args:
            index: ``(N,)`` int64, from 0.
            seed: The seed of the set of images.
            label: ``(N,)`` int64: the classes to sample, for models that are conditioned on them; others do not ask.

        Returns:
            ``(N, C, H, W)``, in [-1, 1] where the range is bounded, float32.
        """
        index = index.to(self.device)
        label = None if label is None else label.to(self.device)

        def sample_target(factor: int, ll: Tensor | None) -> Tensor:
            return self.sample_factor(factor, Condition(ll, label), index, seed)

        with torch.no_grad():
            image = self.factorization.decode(sample_target)
        return image.clamp(-1, 1) if self.bounded else image

    def sample_factor(self, factor: int, condition: Condition, index: Tensor, seed: int) -> Tensor:
        """Sample one factor of the images of these numbers.

        Args:
            factor: Its number, from 0 for the coarsest.
            condition: What its targets are conditioned on, on the system's device.
            index: ``(N,)`` int64, on the system's device.
            seed: The seed of the set of images.

        Returns:
            Its target, ``(N, C, H, W)`` float32.
        """
        noise = sampling_noise(seed, index, factor)
        return self._model(factor).sample(self.target_shapes[factor], condition, noise).float()

    def sample(
        self,
        n: int,
        seed: int = 0,
        start: int = 0,
        batch_size: int = 64,
        label: Tensor | None = None,
    ) -> Tensor:
        """Sample images in batches, outside any Trainer.

        Args:
            n: How many.
            seed: The seed of the set of images.
            start: The number of the first.
            batch_size: How many at once; it bounds memory and changes nothing else.
            label: ``(n,)`` int64: the classes to sample, for models that are conditioned on them.

        Returns:
            ``(n, C, H, W)``, in [-1, 1] where the range is bounded, on the CPU.
        """
        if n < 1 or batch_size < 1:
            raise ValueError(f"n and batch_size must be at least 1, got {n} and {batch_size}")
        if label is not None and len(label) != n:
            raise ValueError(f"label must have one class for each of n = {n}, got {len(label)}")
        was_training = self.training
        self.eval()
        numbers = torch.arange(start, start + n).split(batch_size)
        labels = [None] * len(numbers) if label is None else label.split(batch_size)
        images = torch.cat(
            [
                self.generate(index, seed, classes).cpu()
                for index, classes in zip(numbers, labels, strict=True)
            ]
        )
        self.train(was_training)
        return images

    def compile_for_sampling(self) -> None:
        """Compile the networks that sample, for a system that no longer learns; each batch size compiles anew.

        On a CPU weights are laid out for their kernels, see
        :class:`wavelight.networks.compiled.Compiled`: later changes of them are not seen, and their
        names change.
        """
        for name, network in self.sampling_networks().items():
            if self.device.type == "cpu":
                model, _, attribute = name.rpartition(".")
                setattr(self.get_submodule(model), attribute, Compiled(network))
            else:
                network.compile(dynamic=False)

    @override
    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        self.has_begun = True
        image = self.generate(batch["index"], self.seed, batch.get("label"))
        return {"image": image, "index": batch["index"]}

    test_step = validation_step
    predict_step = validation_step

    # --- networks and checkpoints ---

    def sampling_networks(self) -> dict[str, nn.Module]:
        """Return the networks that sampling needs, by the names their parameters have in a state dict."""
        learnt = {
            f"models.{index}.{name}": player.network
            for index, model in enumerate(self._distinct_models())
            for name, player in model.players().items()
            if player.samples
        }
        frozen = self.factorization.networks()
        return learnt | {f"factorization.{name}": network for name, network in frozen.items()}

    def sampling_parts(self) -> dict[str, nn.Module]:
        """Return those networks, and the factorization where it keeps statistics of the training set."""
        networks = self.sampling_networks()
        return (
            networks | {"factorization": self.factorization}
            if self.factorization.needs_statistics()
            else networks
        )

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CONFIG_KEY] = self.config_text
        checkpoint[PROGRESS_KEY] = {
            "images_seen": self.images_seen,
            "batches_seen": self.batches_seen,
            "epochs_seen": self.epochs_seen,
            "skipped_steps": self.skipped_steps,
        }

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_same_tensors(self, checkpoint["state_dict"])
        progress = checkpoint.get(PROGRESS_KEY, {})
        self.images_seen = progress.get("images_seen", 0)
        self.batches_seen = progress.get("batches_seen", 0)
        self.epochs_seen = progress.get("epochs_seen", 0)
        self.skipped_steps = progress.get("skipped_steps", 0)

    def _turns(self) -> list[tuple[int, str]]:
        """Return the turns of a batch: whose factor, and which of its players."""
        return [
            (index, name) for index in self.train_factors for name in self._model(index).players()
        ]

    def _learners(self) -> dict[tuple[int, str], Player]:
        """Return the players that learn, by the number of their model and their name; each has one optimizer."""
        return {
            (self._model_of_factor[index], name): self._model(index).players()[name]
            for index, name in self._turns()
        }

    def learners(self) -> list[str]:
        """Return the networks that learn, in the order of their optimizers, by the names of their parameters."""
        return [f"models.{model}.{player}" for model, player in self._learners()]

    def factor_models(self) -> list[GenerativeModel]:
        """Return the models, one a factor, in the order in which factors are generated; shared ones come again."""
        models = self._distinct_models()
        return [models[number] for number in self._model_of_factor]

    def _distinct_models(self) -> list[GenerativeModel]:
        return cast(list[GenerativeModel], list(self.models))

    def _model(self, index: int) -> GenerativeModel:
        return self.factor_models()[index]


def _weights(optimizer: LightningOptimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _gradients(optimizer: LightningOptimizer) -> list[Tensor]:
    return [weight.grad for weight in _weights(optimizer) if weight.grad is not None]


def _as_list(value: Any) -> list[Any]:
    # Lightning hands out a bare object where there is one, None where there is none.
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]

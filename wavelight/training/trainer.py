"""The trainer of the command line: Lightning's, with methods whose arguments are the options of commands."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from wavelight.callbacks import Evaluation, LastCheckpoint
from wavelight.callbacks.batch_times import BatchTimes
from wavelight.callbacks.ema_decays import weights_of
from wavelight.callbacks.throughput import DEVICE_HOURS_KEY
from wavelight.checkpoints.run_files import BEST, FOLDER, newest_checkpoint
from wavelight.sampling.image_folder import image_folder
from wavelight.support.errors import OptionError
from wavelight.support.faults import GoingOn
from wavelight.support.private_names import replace_signal_handling
from wavelight.support.stopwatch import device_name
from wavelight.systems import ImageGenerator
from wavelight.systems.base import PROGRESS_KEY
from wavelight.systems.divergence import DivergedError
from wavelight.training.capabilities import (
    check_devices,
    check_precision,
    check_precision_of_training,
    check_strategy,
)
from wavelight.training.checkpoint_io import UnsavedError, WholeCheckpointIO
from wavelight.training.closed_loggers import closed
from wavelight.training.going_on import GoOn, check_same_optimizers
from wavelight.training.recording import Recording
from wavelight.training.result_row import ResultRow
from wavelight.training.run_lock import locked, unlock
from wavelight.training.run_record import names_of_run
from wavelight.training.saved_config import SaveConfig
from wavelight.training.signals import Signals, StopAtBatchEnd
from wavelight.training.slurm import requeue_after
from wavelight.training.steady_loggers import let_faults_pass, log_places
from wavelight.training.supervision import Supervision
from wavelight.training.writer import ImageWriter, MissingImages
from wavelight.weights import holds_run, read_checkpoint

# Messages of Lightning on every run here, which are wrong for them or no news.
_NO_NEWS = (
    "Checkpoint directory .* exists and is not empty",
    "You're resuming from a checkpoint that ended before the epoch ended",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "The '.*' does not have many workers",
    ".*``instantiate_classes`` was deprecated",
    "Total length of `list` across ranks is zero",
)

_FULL = "32-true"


class Trainer(L.Trainer):
    """Devices, length, logging and callbacks of a run; these are the options of Lightning's Trainer.

    ``max_time`` is how long this process may train: it then stops as by a signal, after a whole batch.
    """

    callbacks: list[L.Callback]

    def __init__(self, *args: Any, **options: Any) -> None:
        for message in _NO_NEWS:
            warnings.filterwarnings("ignore", message=message)
        logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
            lambda record: "litlogger" not in record.getMessage()
        )
        # Before Lightning, which ends in tracebacks where a package or a device for them is missing.
        # A copy: jsonargparse takes what is read of the arguments for arguments of any type, without Lightning's.
        given = {**options}
        self._asked_precision = check_precision(given.get("precision") or _FULL)
        check_strategy(given.get("strategy", "auto"))
        check_devices(given.get("devices", "auto"))
        try:
            super().__init__(*args, **options)
        except TypeError as error:
            # A CPU has a number of processes, and no devices with numbers.
            if "`devices` selected" not in str(error):
                raise
            raise OptionError(
                f"trainer.devices must be a number that the accelerator has, got {given['devices']}: give "
                "--trainer.devices auto"
            ) from error
        check_precision(self.precision)
        check_strategy(self.strategy)
        # Lightning keeps it under private names alone.
        self._sync_batchnorm = bool(options.get("sync_batchnorm"))
        self.signals = Signals(self)
        replace_signal_handling(self, self.signals)
        self._supervision = Supervision(self, before_end=self._unlock_folder)
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = WholeCheckpointIO()
        self._order_callbacks()
        let_faults_pass(self.loggers)
        log_places(self)

    def _order_callbacks(self) -> None:
        """Save behind all other callbacks, so that checkpoints know what these have done, and stop behind that."""
        given: list[L.Callback] = self.callbacks
        # Lightning's drops the rest of the epoch.
        timers = [each for each in given if isinstance(each, Timer)]
        last = [each for each in given if isinstance(each, LastCheckpoint)]
        saving = [each for each in given if isinstance(each, SaveConfig)]
        others = [each for each in given if each not in (*timers, *saving, *last)]
        seconds = timers[0].time_remaining() if timers else None
        stop = StopAtBatchEnd(self.signals, seconds)
        self._recording = Recording()
        self.callbacks = [self._recording, *saving, GoOn(), *others, *last, stop]

    def fit(  # type: ignore[override]
        self,
        model: ImageGenerator,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Train a model, from the start or from a checkpoint.

        Args:
            model: The system.
            train_dataloaders: Batches, in place of the data module's.
            val_dataloaders: Batches, in place of the data module's.
            datamodule: The data.
            ckpt_path: A checkpoint to continue from, or ``last`` for the newest of this run, if there
                is one. A file of weights alone, which ``wavelight convert`` or ``export`` wrote, starts
                a new run.
        """
        self._check_own_options()
        model.check_data(datamodule)
        path = self.checkpoint(ckpt_path)
        if path is not None and not holds_run(path):
            _start_from(model, path)
            path = None
        elif path is not None:
            check_same_optimizers(model, read_checkpoint(path, mapped=True))
        with (
            self._supervised(),
            self._requeued(),
            self._locked_folder(),
            self._named_last_good_file(),
            self._recorded(model),
        ):
            super().fit(
                model, train_dataloaders, val_dataloaders, datamodule, path, weights_only=True
            )

    def checkpoint(self, ckpt_path: str | Path | None) -> Path | None:
        """Return the file that a word names: ``last`` the newest of this run, None where there is none, or ``best``.

        Args:
            ckpt_path: The word, or the path of a file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If all checkpoints of the run are damaged.
        """
        if ckpt_path is None:
            return None
        folder = Path(self.default_root_dir)
        if ckpt_path == "last":
            return newest_checkpoint(folder)
        path = folder / FOLDER / BEST if ckpt_path == "best" else Path(ckpt_path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no checkpoint {path}")
        return path

    @override
    def save_checkpoint(self, *args: Any, **options: Any) -> None:
        """Write a checkpoint, unless training has diverged; collective.

        Raises:
            DivergedError: If a weight, an optimizer's state or a loss since the last one is not finite.
            UnsavedError: If the file could not be written; what was there is untouched.
        """
        if isinstance(self.lightning_module, ImageGenerator):
            self.lightning_module.refuse_divergence()
        super().save_checkpoint(*args, **options)
        io = self.strategy.checkpoint_io
        if isinstance(io, WholeCheckpointIO):
            failure = self.strategy.broadcast(io.take_failure())
            if failure is not None:
                raise UnsavedError(failure)

    def _locked_folder(self) -> Any:
        alone = not self.is_global_zero or self.fast_dev_run  # type: ignore[attr-defined]
        return nullcontext() if alone else locked(Path(self.default_root_dir))

    @contextmanager
    def _recorded(self, model: ImageGenerator, counted: bool = True) -> Iterator[None]:
        """Record a run, whose loggers stay closed until it may begin."""
        if counted:
            self._recording.begin(self, model)
        with closed(self):
            yield

    @contextmanager
    def _supervised(self) -> Iterator[None]:
        with self.signals.handled(), self._supervision.watched():
            yield

    @contextmanager
    def _requeued(self) -> Iterator[None]:
        """Let SLURM start a stopped run again, before the processes part, with whose end SLURM may kill the others."""
        try:
            yield
        except SIGTERMException:
            if self.is_global_zero:
                requeue_after(self.signals.signal_number, self.strategy)
            raise

    def _unlock_folder(self) -> None:
        if self.is_global_zero:
            unlock(Path(self.default_root_dir))

    @contextmanager
    def _named_last_good_file(self) -> Iterator[None]:
        """Say where training that diverged can go on from."""
        try:
            yield
        except DivergedError as error:
            path = newest_checkpoint(Path(self.default_root_dir))
            if path is None:
                raise DivergedError(f"{error}; nothing was saved before") from error
            images = read_checkpoint(path, mapped=True)[PROGRESS_KEY]["images_seen"]
            raise DivergedError(
                f"{error}; the last good file is {path}, of {images:,} images: go on from it with a lower "
                "learning rate, clipped gradients, or model.init_args.max_skipped_steps"
            ) from error

    def _check_own_options(self) -> None:
        """Refuse options of Lightning that manual optimization ignores, and name those of the system.

        Raises:
            ValueError: If one is given, gradients would be scaled, or an epoch has no number of batches.
        """
        # Lightning trains in bfloat16 on a CPU where float16 was asked for.
        for name in (self._asked_precision, self.precision):
            check_precision_of_training(name)
        instead = {
            "gradient_clip_val": (self.gradient_clip_val, "model.init_args.gradient_clip_val"),
            "accumulate_grad_batches": (
                self.accumulate_grad_batches != 1,
                "model.init_args.accumulate_grad_batches",
            ),
            "max_steps": (
                self.max_steps != -1 and not self.fast_dev_run,  # type: ignore[attr-defined]
                "trainer.max_epochs",
            ),
        }
        for option, (given, other) in instead.items():
            if given:
                raise ValueError(
                    f"trainer.{option} must not be set, as each network has its own optimizer; use {other}"
                )
        if self._sync_batchnorm:
            raise ValueError(
                "trainer.sync_batchnorm must be false, got true: batch normalization here is always over the images of "
                "all processes, and PyTorch's has no second derivatives; leave it out"
            )
        if not isinstance(self.limit_train_batches, int):
            raise ValueError(
                "trainer.limit_train_batches must be the number of batches in an epoch, as the data has no end, got "
                f"{self.limit_train_batches}"
            )

    def _weights(self, ckpt_path: str | None) -> Path | None:
        """Return the checkpoint to measure or to sample from; None takes the model's weights as they are."""
        path = self.checkpoint(ckpt_path)
        if path is not None:
            _refuse_bare_network(path)
        elif ckpt_path is not None:
            raise FileNotFoundError(
                f"ckpt_path {ckpt_path} must find a checkpoint, got none in {Path(self.default_root_dir) / FOLDER}: "
                "give the path of one, or the --trainer.default_root_dir of its run"
            )
        return path

    def validate(  # type: ignore[override]
        self,
        model: ImageGenerator,
        dataloaders: Any = None,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> Any:
        """Measure a checkpoint as training does: the metrics of the evaluation callback on ``val_images`` images.

        Args:
            model: The system.
            dataloaders: Batches, in place of the data module's.
            datamodule: The data.
            ckpt_path: The checkpoint, ``last`` for the newest of this run, or ``best``; in commands ``last`` is meant
                where none is given.
        """
        path = self._weights(ckpt_path)
        model.check_data(datamodule)
        with self._supervised(), self._recorded(model, counted=bool(self.loggers)):
            return super().validate(
                model, dataloaders, path, datamodule=datamodule, weights_only=True
            )

    def test(  # type: ignore[override]
        self,
        model: ImageGenerator,
        dataloaders: Any = None,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> Any:
        """Measure a checkpoint as papers do: the metrics of the evaluation callback on ``test_images`` images.

        Prints the row of a paper's table, with the time of sampling, memory, cost and training, and writes it into
        ``test.json`` of the run's folder.

        Args:
            model: The system.
            dataloaders: Batches, in place of the data module's.
            datamodule: The data.
            ckpt_path: The checkpoint, ``last`` for the newest of this run, or ``best``; in commands ``last`` is meant
                where none is given.
        """
        path = self._weights(ckpt_path)
        model.check_data(datamodule)
        times = BatchTimes()
        # Before the evaluation, whose work is no sampling.
        self.callbacks.insert(0, times)
        try:
            with self._supervised(), self._recorded(model):
                found = super().test(model, dataloaders, path, False, datamodule, weights_only=True)
        finally:
            self.callbacks.remove(times)
        if self.is_global_zero and times.images and not self.fast_dev_run:  # type: ignore[attr-defined]
            self._report(model, path, times)
        return found

    def _report(self, system: ImageGenerator, path: Path | None, times: BatchTimes) -> None:
        """Print the row of a paper's table, and write it into the run's folder."""
        folder = Path(self.default_root_dir)
        measured = [
            each for each in self.callbacks if isinstance(each, Evaluation) and each.history
        ]
        row = ResultRow(
            run=names_of_run(folder)[0],
            checkpoint=weights_of(self, path.name) if path else "",
            metrics=measured[0].history[-1][1] if measured else {},
            milliseconds=times.milliseconds,
            peak_memory=times.peak_memory,
            cost=self._recording.cost,
            images_seen=system.images_seen,
            device_hours=read_checkpoint(path, mapped=True).get(DEVICE_HOURS_KEY) if path else None,
            device=device_name(self.strategy.root_device),
            devices=self.world_size,
        )
        print(row.table)
        # The folder may be another's, which only they may write.
        with GoingOn("writing test.json", "its row is printed").despite_faults():
            row.write(folder)

    def predict(  # type: ignore[override]
        self,
        model: ImageGenerator,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
        images: int = 64,
        out: Path = Path("generated"),
        seed: int = 0,
        batch_size: int = 64,
        npz: bool = False,
    ) -> None:
        """Sample images from a checkpoint into a folder, each on one of all devices and machines.

        A PNG file an image; of fields without bounds, an NPY file of float32 ``(C, H, W)``.

        Args:
            model: The system.
            datamodule: Not needed: sampling reads no data.
            ckpt_path: The checkpoint, ``last`` for the newest of this run, or ``best``; in commands ``last`` is meant
                where none is given.
            images: Number of images.
            out: The folder, which machines share where there are several. Batches that an interrupted run has
                finished are not generated again.
            seed: The seed of the set of images; image i of a seed is the same however many are
                generated.
            batch_size: Images that each device samples at once; devices share the images by whole batches, so that
                their number changes no bit.
            npz: Whether one file ``images.npz`` is left in the folder, in place of a file an image:
                ``arr_0``, ``(N, H, W, C)`` uint8, or of fields ``(N, C, H, W)`` float32.
        """
        path = self._weights(ckpt_path)
        folder = image_folder(model, out, images, seed)
        self.callbacks.append(ImageWriter(folder))
        model.seed = seed
        # Nothing is measured, so that nothing is logged.
        with self._supervised(), closed(self):
            super().predict(
                model,
                datamodule=MissingImages(folder, batch_size),
                return_predictions=False,
                ckpt_path=path,
                weights_only=True,
            )
            # Not before the last process has written its last image.
            self.strategy.barrier()
        if npz and self.is_global_zero:
            folder.pack()


def _refuse_bare_network(path: Path) -> None:
    if path.suffix == ".safetensors" or "state_dict" not in read_checkpoint(path, mapped=True):
        raise ValueError(
            f"ckpt_path must be a checkpoint of a system, got {path}, which holds networks alone: `wavelight sample` "
            "samples from an exported file, and `wavelight convert` makes a checkpoint from a published one"
        )


def _start_from(model: ImageGenerator, path: Path) -> None:
    """Let a new run start from the weights of a file that holds no run to go on with."""
    if model.start_from is not None and Path(model.start_from) != path:
        raise ValueError(
            f"--ckpt_path {path} and model.init_args.start_from {model.start_from} both name weights that a new run "
            "starts from; give one of them"
        )
    rank_zero_info(f"{path} holds weights but no optimizers: a new run starts from them.")
    model.start_from = path

"""The trainer of the command line: Lightning's, with methods whose arguments are the options of commands."""

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from wavelight.sampling.image_folder import image_folder
from wavelight.systems import ImageGenerator
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


_WORDS = ("last", "best", "hpc")
"""Words that Lightning takes in place of a checkpoint's path."""


class Trainer(L.Trainer):
    """Devices, length, logging and callbacks of a run; these are the options of Lightning's Trainer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        for message in _NO_NEWS:
            warnings.filterwarnings("ignore", message=message)
        logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
            lambda record: "litlogger" not in record.getMessage()
        )
        super().__init__(*args, **options)

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
        path = _file(ckpt_path)
        if path is not None and not holds_run(path):
            _start_from(model, path)
            ckpt_path = None
        super().fit(
            model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only=True
        )

    def _check_own_options(self) -> None:
        """Refuse options of Lightning that manual optimization ignores, and name those of the system.

        Raises:
            ValueError: If one is given, or an epoch has no number of batches.
        """
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
        if not isinstance(self.limit_train_batches, int):
            raise ValueError(
                "trainer.limit_train_batches must be the number of batches in an epoch, as the data has no end, got "
                f"{self.limit_train_batches}"
            )

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
            ckpt_path: The checkpoint, or ``last`` for the newest of this run.
        """
        _refuse_bare_network(ckpt_path)
        model.check_data(datamodule)
        return super().validate(
            model, dataloaders, ckpt_path, datamodule=datamodule, weights_only=True
        )

    def test(  # type: ignore[override]
        self,
        model: ImageGenerator,
        dataloaders: Any = None,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> Any:
        """Measure a checkpoint as papers do: the metrics of the evaluation callback on ``test_images`` images.

        Args:
            model: The system.
            dataloaders: Batches, in place of the data module's.
            datamodule: The data.
            ckpt_path: The checkpoint, or ``last`` for the newest of this run.
        """
        _refuse_bare_network(ckpt_path)
        model.check_data(datamodule)
        return super().test(model, dataloaders, ckpt_path, datamodule=datamodule, weights_only=True)

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
            ckpt_path: The checkpoint, or ``last`` for the newest of this run.
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
        _refuse_bare_network(ckpt_path)
        folder = image_folder(model, out, images, seed)
        self.callbacks.append(ImageWriter(folder))  # type: ignore[attr-defined]
        model.seed = seed
        super().predict(
            model,
            datamodule=MissingImages(folder, batch_size),
            return_predictions=False,
            ckpt_path=ckpt_path,
            weights_only=True,
        )
        # Not before the last process has written its last image.
        self.strategy.barrier()
        if npz and self.is_global_zero:
            folder.pack()


def _file(ckpt_path: str | None) -> Path | None:
    """Return the checkpoint file; None where there is none, or for a word that Lightning knows, such as ``last``."""
    if ckpt_path is None or ckpt_path in _WORDS or not Path(ckpt_path).is_file():
        return None
    return Path(ckpt_path)


def _refuse_bare_network(ckpt_path: str | None) -> None:
    path = _file(ckpt_path)
    if path is None:
        return
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

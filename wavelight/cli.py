"""The commands that train, measure and draw: LightningCLI with this project's systems, data and habits."""

import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import lightning as L
import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from typing_extensions import override

import data_modules
from data_modules import WaveletDataModule
from wavelight.configurations import DEFAULTS, find_experiment
from wavelight.errors import fail
from wavelight.systems import ImageGenerator
from wavelight.systems.base import CONFIG_KEY
from wavelight.trainer import Trainer

_TERMINATED = 128 + 15

# The arguments of the trainer's methods that are objects, which no command line can name.
_OBJECTS = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"}


class Parser(LightningArgumentParser):
    """A parser that says what is wrong in one sentence."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        fail(message)


class CLI(LightningCLI):
    """Builds a trainer, a system and its data from YAML and options, and runs one method of the trainer.

    Args:
        method: The method of :class:`wavelight.trainer.Trainer`, whose arguments are options, too.
        arguments: The words of the command line behind the method's name.
    """

    def __init__(self, method: str, arguments: list[str]) -> None:
        self.method = method
        data_modules.import_all()
        super().__init__(
            ImageGenerator,
            WaveletDataModule,
            trainer_class=Trainer,
            subclass_mode_model=True,
            auto_configure_optimizers=False,
            # It would let a checkpoint's values beat the command line's, and tie the model to this
            # object.
            load_from_checkpoint_support=False,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            parser_class=Parser,
            parser_kwargs={
                "prog": f"wavelight {method}",
                "description": f"{getattr(Trainer, method).__doc__.splitlines()[0]} Options beat files, later files "
                "beat earlier ones; --print_config behind them shows what comes of it.",
                "default_config_files": [str(DEFAULTS)],
            },
            args=arguments,
            run=False,
        )

    @override
    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything",
            type=int,
            default=0,
            help="Seed of the weights, of all noise and of the data's order.",
        )

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("seed_everything", "model.init_args.seed")
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("data.image_size", "model.init_args.image_size")
        self._options = parser.add_method_arguments(Trainer, self.method, skip=_OBJECTS)

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(_with_found_experiments(args))

    @override
    def before_instantiate_classes(self) -> None:
        """Let loggers write into the run's folder unless they were told otherwise."""
        trainer = self.config.trainer
        trainer.default_root_dir = trainer.default_root_dir or "runs/unnamed"
        for logger in trainer.logger if isinstance(trainer.logger, list) else []:
            if logger.class_path.startswith("wavelight.loggers."):
                logger.init_args.save_dir = logger.init_args.save_dir or trainer.default_root_dir

    @override
    def after_instantiate_classes(self) -> None:
        self.model.config_text = self.parser.dump(
            self.config, skip_link_targets=False, skip_unset=False
        )

    def run(self) -> None:
        """Run the method."""
        options = {name: self.config_init[name] for name in self._options}
        getattr(self.trainer, self.method)(model=self.model, datamodule=self.datamodule, **options)


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration into the run's folder as ``config.yaml``, and into W&B."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"save_to_log_dir": False}))

    @override
    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if stage != "fit":
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        text = self.parser.dump(self.config, skip_unset=False)
        (folder / self.config_filename).write_text(text)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update(
                    {**yaml.safe_load(pl_module.config_text), "git_revision": git_revision()},
                    allow_val_change=True,
                )

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say where this configuration, which holds, differs from the one that the checkpoint was trained with."""
        assert isinstance(pl_module, ImageGenerator)
        trained, now = (
            _flat(yaml.safe_load(text))
            for text in (checkpoint.get(CONFIG_KEY) or "{}", pl_module.config_text)
        )
        for name in sorted(trained.keys() & now.keys()):
            if trained[name] != now[name] and name.startswith(
                ("seed_everything", "model.", "data.")
            ):
                rank_zero_info(
                    f"{name} is {now[name]}, but the checkpoint was trained with {trained[name]}"
                )


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix.removesuffix("."): config}
    return {
        name: value
        for key, part in config.items()
        for name, value in _flat(part, f"{prefix}{key}.").items()
    }


def run(method: str, arguments: list[str]) -> None:
    """Run a method of the trainer as a command; bad input ends it with one sentence and exit code 2.

    A ``ValueError``, an ``OSError`` or what Lightning calls a misconfiguration, before the first
    batch, is taken for bad
    input: every boundary checks there, in words. Set WAVELIGHT_TRACEBACK=1 to see where it came
        from.
    """
    if not arguments:
        fail(
            f"{method} needs to know what to run: --config experiments/demo.yaml, say; --help tells more"
        )
    cli = None
    try:
        cli = CLI(method, arguments)
        cli.run()
    except SIGTERMException:
        rank_zero_info("Stopped after a whole batch; --ckpt_path last goes on from there.")
        sys.exit(_TERMINATED)
    except (ValueError, OSError, MisconfigurationException) as error:
        if cli is not None and cli.model.has_begun:
            raise
        fail(str(error), error)


def git_revision() -> str | None:
    """Return the revision of the code, with ``-dirty`` behind it where files differ; None outside a checkout."""
    here = Path(__file__).parent
    command = [
        "git",
        "-C",
        str(here),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _with_found_experiments(arguments: list[str]) -> list[str]:
    """Let options find files that ship, in a folder that has none of its own.

    Such as ``--config experiments/demo.yaml`` and ``--model.details=experiments/details/flow.yaml``.
    """
    found = []
    for word in arguments:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        found.append(option + equals + find_experiment(value))
    return found

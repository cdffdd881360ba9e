"""The commands that train, measure and generate: LightningCLI with this project's systems, data and habits."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, NoReturn, cast

import lightning as L
from jsonargparse import Namespace
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from typing_extensions import override

import data_modules
from data_modules import DataError, WaveletDataModule
from wavelight import callbacks
from wavelight.checkpoints.configuration import TRUST
from wavelight.checkpoints.loading import link_seed_and_images
from wavelight.config.bases import content_of, with_bases
from wavelight.config.experiments import DEFAULTS
from wavelight.config.known_classes import refusal_of_import
from wavelight.config.secrets import check_no_secrets
from wavelight.config.words import (
    options_inside_lists,
    run_folder,
    underscored,
    value_of,
    with_found_files,
    with_truths,
)
from wavelight.support.errors import OptionError, fail
from wavelight.systems import ImageGenerator
from wavelight.systems.divergence import DivergedError
from wavelight.training.checkpoint_io import UnsavedError
from wavelight.training.known_options import (
    AGENT,
    check_options,
    from_agent,
    known_imports,
    trial_of_agent,
)
from wavelight.training.published_result import PublishedResult
from wavelight.training.saved_config import SaveConfig
from wavelight.training.signals import StoppedAtOnceError
from wavelight.training.stored_options import (
    TRUST_CODE,
    folder_of_run,
    name_a_model,
    named_checkpoint,
    stored_options,
)
from wavelight.training.supervision import LostRankError
from wavelight.training.trainer import Trainer

_SIGNALLED = 128
"""A shell adds this to the number of the signal that ended a command."""

_FAILED = 1
"""Exit code of training that diverged, or could not be saved; bad input has another."""

_OWN_CLASSES = "remove it if it is not yours"


# The arguments of the trainer's methods that are objects, which no command line can name.
_OBJECTS = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"}


CALLBACKS: dict[str, type[L.Callback]] = {
    "speed": callbacks.Throughput,
    "rates": callbacks.LearningRates,
    "progress": callbacks.ProgressLines,
    "acceleration": callbacks.Acceleration,
    "ema": callbacks.ExponentialMovingAverage,
    "pictures": callbacks.SampleGrid,
    "evaluation": callbacks.Evaluation,
    "ema_decays": callbacks.EMADecays,
    "collapse": callbacks.CollapseWarning,
    "best": callbacks.BestCheckpoint,
    "snapshots": callbacks.Snapshots,
    "last": callbacks.LastCheckpoint,
}
"""The callbacks of every run by their names as options, such as ``--ema.decay``; in the order in which they act."""


def _take_out_of_list(options: Namespace, name: str) -> None:
    """Undo that the parser makes a list of a value that may be one, too, where an option changed it inside."""
    value = options.get(name)
    if isinstance(value, list) and len(value) == 1:
        options[name] = value[0]


def _folder_option(folder: object) -> str:
    return f"--trainer.default_root_dir={folder}"


def _check_sections(words: list[str]) -> None:
    """Refuse values in the place of options, which the parser takes for none, or for a fault of the program."""
    for option, part in pairwise(words):
        for name, value in content_of(part).items() if option == "--config" else ():
            if name in ("trainer", *CALLBACKS) and not isinstance(value, dict | str | None):
                fail(f"{name} must hold options by name, got {value!r}")


class Origin(NamedTuple):
    """Where options come from that were neither typed nor read from a file of ``--config``."""

    name: str
    remedy: str
    """How to trust it."""


class Parser(LightningArgumentParser):
    """A parser whose errors are one sentence."""

    origin: ClassVar[Origin | None] = None
    """Where options come from that may not name any class; of the class, for each class that an option names has a
    parser of its own."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        refused = refusal_of_import(ex, *self.origin) if ex and self.origin else None
        fail(refused or message)

    @classmethod
    @contextmanager
    def reading(cls, origin: Origin | None) -> Iterator[None]:
        """Let options inside this context name known classes alone, if they come from elsewhere."""
        cls.origin = origin
        try:
            with known_imports(trust_code=origin is None):
                yield
        finally:
            cls.origin = None


class CLI(LightningCLI):
    """Builds a trainer, a system and its data from YAML and options, and runs one method of the trainer.

    Args:
        method: The method of :class:`wavelight.training.trainer.Trainer`, whose arguments are options, too.
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
                "beat earlier ones; --print_config behind them prints the resolved configuration.",
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
        link_seed_and_images(parser)
        for name, callback in CALLBACKS.items():
            parser.add_lightning_class_args(callback, name)
        parser.add_class_arguments(PublishedResult, "published")
        if self.method != "fit":
            parser.add_argument(
                TRUST_CODE,
                type=bool,
                default=False,
                help="Whether the configuration in the checkpoint may name any class, and so run code of its own.",
            )
        self._options = parser.add_method_arguments(Trainer, self.method, skip=_OBJECTS)

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        words = with_truths(underscored(args), {TRUST_CODE})
        for word in words:
            if word.startswith("--trainer.callbacks."):
                fail(
                    f"{word.partition('=')[0]} must name a callback, which are options of their own: "
                    f"{', '.join(f'--{name}' for name in CALLBACKS)}"
                )
        words_of_parser = with_bases(with_found_files(words))
        _check_sections(words_of_parser)
        first_words, origin = self._first_words(words, words_of_parser)
        if from_agent():
            origin = Origin(AGENT, _OWN_CLASSES)
        with Parser.reading(origin):
            self.config = parser.parse_args([*first_words, *words_of_parser])
        check_no_secrets(self.config.as_dict())
        if from_agent():
            check_options(self.config.as_dict(), AGENT, _OWN_CLASSES)
        _take_out_of_list(self.config.model.init_args, "details")
        for option, inside, count in options_inside_lists(words, self.config.as_dict()):
            fail(
                f"--{option} must not point inside a list, got {inside}, a list of {count}, of which it would change "
                f"the last alone: name the whole list in a file, --{inside} my.yaml, or one entry for all"
            )

    def _first_words(
        self, words: list[str], of_parser: list[str]
    ) -> tuple[list[str], Origin | None]:
        """Return options that all others beat, and their origin: the run's folder, and what a checkpoint holds."""
        checkpoint = None if self.method == "fit" else named_checkpoint(words)
        if checkpoint is None:
            return [_folder_option(run_folder(words, trial_of_agent()))], None
        folder = _folder_option(folder_of_run(checkpoint))
        if name_a_model(of_parser):
            return [folder], None
        trusted = (value_of(words, TRUST_CODE) or "").lower() in ("true", "yes")
        stored = ["--config", stored_options(checkpoint, trusted)]
        return [folder, *stored], None if trusted else Origin(str(checkpoint), TRUST)

    @override
    def before_instantiate_classes(self) -> None:
        """Give loggers the run's folder, unless they have another."""
        trainer = self.config.trainer
        for logger in trainer.logger if isinstance(trainer.logger, list) else []:
            if logger.class_path.startswith("wavelight.loggers."):
                options = logger.init_args
                options.save_dir = options.save_dir or trainer.default_root_dir

    @override
    def after_instantiate_classes(self) -> None:
        self.model.config_text = self.parser.dump(
            self.config, skip_link_targets=False, skip_unset=False
        )

    def run(self) -> None:
        """Run the method."""
        options = {name: self.config_init[name] for name in self._options}
        if self.method != "fit" and options["ckpt_path"] is None:
            # Measuring or sampling an untrained network is hardly ever meant.
            options["ckpt_path"] = "last"
        getattr(self.trainer, self.method)(model=self.model, datamodule=self.datamodule, **options)


def _exit_code(cli: CLI) -> int:
    """Return the exit code of a process that was stopped, 0 by its time.

    Processes that Lightning has started itself must not fail: it kills the first one then, whose code is the command's.
    Others must, for whoever started them takes 0 for a run that has come to its end.
    """
    trainer = cast(Trainer, cli.trainer)
    number = trainer.signals.signal_number
    return _SIGNALLED + number if number and not _lightning_started_this(trainer) else 0


def _lightning_started_this(trainer: Trainer) -> bool:
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return isinstance(environment, LightningEnvironment) and trainer.local_rank > 0


def run(method: str, arguments: list[str]) -> None:
    """Run a method of the trainer as a command; bad input ends it with one sentence and exit code 2.

    A ``ValueError``, an ``OSError`` or a ``MisconfigurationException`` of Lightning before the first batch is
    taken for bad input, which every boundary checks there. Images that cannot be read end it in a sentence later, too,
    with exit code 1. Set WAVELIGHT_TRACEBACK=1 to see where it came from.
    """
    if not arguments:
        fail(
            f"{method} needs a configuration: give one, e.g. --config experiments/demo.yaml; --help lists all options"
        )
    cli = None
    try:
        cli = CLI(method, arguments)
        cast(Trainer, cli.trainer).signals.ends_process = True
        cli.run()
    except SIGTERMException:
        rank_zero_info("Stopped after a whole batch; continue with --ckpt_path last.")
        assert cli is not None
        sys.exit(_exit_code(cli))
    except StoppedAtOnceError as error:
        rank_zero_info(str(error))
        assert cli is not None
        sys.exit(_exit_code(cli))
    except LostRankError:
        sys.exit(_FAILED)
    except OptionError as error:
        fail(str(error), error)
    except (DivergedError, UnsavedError) as error:
        sys.stderr.write(f"wavelight: {error}\n")
        sys.exit(_FAILED)
    except (ValueError, OSError, MisconfigurationException) as error:
        if cli is None or not cli.model.has_begun:
            fail(str(error), error)
        # Images are read while training runs, and a server may go away at any time.
        if not isinstance(error, DataError):
            raise
        sys.stderr.write(f"wavelight: {error}\n")
        sys.exit(_FAILED)

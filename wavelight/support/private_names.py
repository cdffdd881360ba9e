"""Private names of PyTorch, Lightning and parsers: one function each, for want of a public name that does the same.

They may go with any version: ``tests/wavelight/support/test_private_names.py`` uses each, says which is gone from which
version, and finds private names that other modules use.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from datetime import timedelta

    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import CSVLogger, WandbLogger
    from lightning.pytorch.strategies import DDPStrategy
    from torch import nn
    from wandb_workspaces.workspaces import Workspace

OVERRIDDEN = {
    "lightning.pytorch.cli.LightningCLI._set_seed": "wavelight.training.sweep_file._Options",
    "lightning.pytorch.loggers.csv_logs.ExperimentWriter._check_log_dir_exists": (
        "wavelight.loggers._AppendingWriter"
    ),
}
"""Private methods of Lightning by their full names, and the classes that override them. Known to work since 2.6.4."""


def set_metavar(parser: "ArgumentParser", name: str, metavar: str) -> None:
    """Say in a parser's help what stands for an argument that it has, which is said where one is added elsewhere.

    Known to work since Python 3.11.

    Args:
        parser: The parser.
        name: The argument's name, as the parsed values have it.
        metavar: The words of the help.
    """
    next(action for action in parser._actions if action.dest == name).metavar = metavar


@contextmanager
def importing_only(places: Sequence[str]) -> Iterator[None]:
    """Let jsonargparse import what values name from these places alone, inside this context.

    ``set_parsing_settings``, the public way, holds for good and for every parser of the process. Known to work since
    jsonargparse 4.52.

    Args:
        places: Packages, modules or classes.
    """
    from jsonargparse import set_parsing_settings
    from jsonargparse._common import parsing_settings

    before = {
        name: parsing_settings[name] for name in ("import_path_verdicts", "import_paths_enforced")
    }
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(places))
    try:
        yield
    finally:
        parsing_settings.update(before)


def is_compiled(network: "nn.Module") -> bool:
    """Return whether ``network.compile()`` was called, which no public name tells.

    Known to work since PyTorch 2.11.
    """
    return network._compiled_call_impl is not None


@contextmanager
def inductor_options(**options: Any) -> Iterator[None]:
    """Set options of the compiler Inductor inside this context, for tracing and calls alike.

    ``torch.compile(options=...)``, the public way, reaches code generation, but not the tracer, which asks for
    ``freezing`` too. Known to work since PyTorch 2.11.

    Args:
        **options: By their names in ``torch._inductor.config``.
    """
    import torch._inductor.config as inductor

    with inductor.patch(options):
        yield


def set_ddp_option(strategy: "DDPStrategy", name: str, value: Any) -> None:
    """Set an option of ``DistributedDataParallel`` before it wraps the system.

    The public way is the strategy's constructor, which the Trainer calls before it knows the system. Known to
    work since Lightning 2.6.4.

    Args:
        strategy: The strategy of the trainer.
        name: The option, such as ``find_unused_parameters``.
        value: Its value.
    """
    strategy._ddp_kwargs[name] = value


def timeout_of(strategy: "DDPStrategy") -> "timedelta | None":
    """Return how long processes wait for each other, which the strategy's constructor takes and nothing public tells.

    Known to work since Lightning 2.6.4.
    """
    return strategy._timeout


def opened_experiment(logger: "CSVLogger | WandbLogger") -> Any:
    """Return a logger's writer or run, or None before it was opened: the public ``experiment`` would open it.

    Known to work since Lightning 2.6.4.
    """
    return logger._experiment


def set_experiment(logger: "CSVLogger", writer: Any) -> None:
    """Give a CSV logger a writer other than Lightning's own; there is no public option for it.

    Known to work since Lightning 2.6.4.
    """
    logger._experiment = writer


def drop_wandb_option(logger: "WandbLogger", name: str) -> None:
    """Drop an option that Lightning passes to ``wandb.init`` even where its user gave none.

    Known to work since Lightning 2.6.4.
    """
    logger._wandb_init.pop(name, None)


def set_wandb_option(logger: "WandbLogger", name: str, value: Any) -> None:
    """Give a W&B logger another option of ``wandb.init``, before its run starts.

    Known to work since Lightning 2.6.4.
    """
    logger._wandb_init[name] = value


def wandb_option(logger: "WandbLogger", name: str) -> Any:
    """Return an option that a W&B logger gives to ``wandb.init``, None where it gives none.

    Known to work since Lightning 2.6.4.
    """
    return logger._wandb_init.get(name)


def replace_signal_handling(trainer: "Trainer", handling: Any) -> None:
    """Let signals be handled by an object of our own, and nothing be broadcast at each batch.

    The public way is a signal's handler, which Lightning overwrites or calls beside its own. Known to work since
    Lightning 2.6.4.

    Args:
        trainer: The trainer, before it runs.
        handling: Has ``register_signal_handlers()``, ``teardown()``, and ``received_sigterm``, at which loops end.
    """
    if not hasattr(trainer, "_signal_connector"):
        raise AttributeError("lightning.pytorch.Trainer._signal_connector")
    trainer._signal_connector = handling
    epoch_loop = trainer.fit_loop.epoch_loop
    if not hasattr(epoch_loop, "_broadcast_sigterm_tensor"):
        raise AttributeError("_TrainingEpochLoop._broadcast_sigterm_tensor")
    epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def set_wandb_offline(logger: "WandbLogger") -> None:
    """Let a W&B logger write offline that was made to log online, before its run starts.

    Known to work since Lightning 2.6.4.
    """
    logger._offline = True
    logger._wandb_init["mode"] = "offline"


def workspace_spec(workspace: "Workspace") -> str:
    """Return what a workspace of W&B would save, as JSON; the public ``save`` sends it to the server.

    Known to work since wandb-workspaces 0.4.
    """
    return workspace._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=1)

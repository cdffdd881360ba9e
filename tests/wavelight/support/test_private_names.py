"""Every private name of PyTorch and Lightning that the code uses is there, and none outside its module."""

import ast
import json
import os
import string
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from pkgutil import resolve_name

import pytest
import torch
from jsonargparse import ArgumentError
from jsonargparse import ArgumentParser as ArgumentParserOfClasses
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.distributed.constants import default_pg_timeout

from tests.places import ROOT
from wavelight.support import private_names

PUBLIC_IN_PYTHON = {"_asdict", "_exit", "_fields", "_replace"}
"""Names of named tuples and of os, which Python documents."""


@contextmanager
def used(package, name):
    """Say which version of a package has no name any more, or another thing under it."""
    try:
        yield
    except (AttributeError, ImportError, KeyError, TypeError, AssertionError) as error:
        pytest.fail(
            f"{package} {version(package)} has no {name} any more, or it does something else: repair "
            f"{private_names.__name__}, or bound {package} in pyproject.toml ({error})"
        )


def test_parsers_list_their_arguments():
    parser = ArgumentParser()
    parser.add_argument("runs", nargs="+")
    private_names.set_metavar(parser, "runs", "RUN ...")
    assert "RUN ..." in parser.format_help()


def test_parsers_import_from_chosen_places_alone():
    parser = ArgumentParserOfClasses(exit_on_error=False)
    parser.add_argument("--function", type=Callable)

    def imported(path):
        return parser.parse_object({"function": path}).function

    with used("jsonargparse", "jsonargparse._common.parsing_settings"):
        with private_names.importing_only(["torch.nn"]):
            assert imported("torch.nn.functional.relu") is nn.functional.relu
            for elsewhere in ("torch.nn.functional.torch.compile", "string.capwords"):
                with pytest.raises(ArgumentError, match="is not allowed"):
                    imported(elsewhere)
        assert imported("string.capwords") is string.capwords


def test_networks_know_whether_they_are_compiled():
    network = nn.Linear(2, 2)
    with used("torch", "torch.nn.Module._compiled_call_impl"):
        assert not private_names.is_compiled(network)
        network.compile()
        assert private_names.is_compiled(network)


def test_inductor_has_the_options_of_sampling():
    with used("torch", "torch._inductor.config.patch with freezing and cpp_wrapper"):
        from torch._inductor import config

        before = (config.freezing, config.cpp_wrapper)
        with private_names.inductor_options(freezing=not before[0], cpp_wrapper=not before[1]):
            assert (config.freezing, config.cpp_wrapper) == (not before[0], not before[1])
        assert (config.freezing, config.cpp_wrapper) == before


def test_the_limit_of_recompilations_has_a_public_name():
    with used("torch", "torch.compiler.config.recompile_limit"):
        from torch._dynamo import config

        assert torch.compiler.config.recompile_limit == config.recompile_limit


def test_ddp_takes_options_after_its_construction(monkeypatch):
    given = {}
    monkeypatch.setattr(
        "lightning.pytorch.strategies.ddp.DistributedDataParallel",
        lambda module, device_ids, **options: given.update(options),
    )
    with used("lightning", "lightning.pytorch.strategies.DDPStrategy._ddp_kwargs"):
        strategy = DDPStrategy(parallel_devices=[torch.device("cpu")])
        private_names.set_ddp_option(strategy, "find_unused_parameters", True)
        strategy._setup_model(nn.Linear(2, 2))
        assert given == {"find_unused_parameters": True}


def test_ddp_keeps_its_timeout():
    with used("lightning", "lightning.pytorch.strategies.DDPStrategy._timeout"):
        strategy = DDPStrategy(timeout=timedelta(minutes=5))
        assert private_names.timeout_of(strategy) == timedelta(minutes=5)
        assert private_names.timeout_of(DDPStrategy()) == default_pg_timeout


def test_csv_loggers_take_another_writer(tmp_path):
    logger, writer = CSVLogger(tmp_path), object()
    with used("lightning", "lightning.pytorch.loggers.CSVLogger._experiment"):
        assert private_names.opened_experiment(logger) is None
        private_names.set_experiment(logger, writer)
        assert logger.experiment is private_names.opened_experiment(logger) is writer


def test_wandb_loggers_keep_what_they_pass_on(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("wandb.init", lambda **options: given.update(options))
    monkeypatch.setattr("wandb.run", None)
    monkeypatch.setenv("WANDB_MODE", "online")
    with used("lightning", "lightning.pytorch.loggers.WandbLogger._wandb_init"):
        logger = WandbLogger(save_dir=tmp_path, offline=True)
        assert private_names.opened_experiment(logger) is None
        private_names.drop_wandb_option(logger, "anonymous")
        private_names.set_wandb_option(logger, "group", "sgm on cifar10")
        assert private_names.wandb_option(logger, "group") == "sgm on cifar10"
        assert private_names.wandb_option(logger, "unknown") is None
        assert logger.experiment is None
        assert "dir" in given
        assert "anonymous" not in given
        assert given["group"] == "sgm on cifar10"
        online = WandbLogger(save_dir=tmp_path, mode="online")
        private_names.set_wandb_offline(online)
        assert online.experiment is None
        assert given["mode"] == "offline"
        assert os.environ["WANDB_MODE"] == "dryrun"


def test_workspaces_tell_what_they_would_save():
    from wandb_workspaces.workspaces import Section, Workspace

    with used("wandb-workspaces", "wandb_workspaces.workspaces.Workspace._to_model"):
        workspace = Workspace(entity="team", project="mine", sections=[Section(name="losses")])
        spec = json.loads(private_names.workspace_spec(workspace))
        (section,) = spec["section"]["panelBankConfig"]["sections"]
        assert section["name"] == "losses"


@pytest.mark.parametrize("method", private_names.OVERRIDDEN)
def test_overridden_methods_exist(method):
    heir = resolve_name(private_names.OVERRIDDEN[method])
    owner, _, name = method.rpartition(".")
    with used("lightning", method):
        assert callable(resolve_name(method))
        assert issubclass(heir, resolve_name(owner))
    assert name in vars(heir), f"{heir} overrides no {name}: remove it from OVERRIDDEN"


def private(name):
    return name.startswith("_") and not name.startswith("__")


def modules_named(node):
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(alias.name for alias in node.names)]
    return [alias.name for alias in node.names]


def of_self(node):
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def private_names_of_others(tree):
    """Find private attributes that a file does not define itself, and imports of private modules."""
    nodes = list(ast.walk(tree))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    own |= {node.attr for node in attributes if of_self(node) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [part for module in modules_named(node) for part in module.split(".")]
            yield from filter(private, names)
    for node in attributes:
        allowed = of_self(node) or node.attr in own | PUBLIC_IN_PYTHON
        if private(node.attr) and not allowed:
            yield node.attr


def test_no_other_module_uses_private_names_of_packages():
    files = [
        file for folder in ("wavelight", "data_modules") for file in (ROOT / folder).rglob("*.py")
    ]
    assert files
    found = {
        str(file.relative_to(ROOT)): sorted(
            set(private_names_of_others(ast.parse(file.read_text())))
        )
        for file in files
    }
    del found["wavelight/support/private_names.py"]
    assert not {file: names for file, names in found.items() if names}

"""What a sweep's file or an agent of W&B names runs nothing, unless it is trusted."""

from pathlib import Path

import pytest
import yaml

from tests.payloads import KINDS
from tests.places import TINY
from wavelight.__main__ import main
from wavelight.config.known_classes import EXTENSIONS
from wavelight.training.cli import CLI

OTHER_REASON = "is not accepted"
"""A function's options may be refused before it is."""

OPTIONS = [
    "model.generator_optimizer",
    "model.scheduler",
    "model.generator",
    "data.source",
    "trainer.callbacks",
]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


def sweep(**changes):
    content = {
        "folder": "runs",
        "seeds": [1],
        "base": {"config": str(TINY)},
        "variants": {"one": {}},
    }
    Path("sweep.yaml").write_text(yaml.safe_dump(content | changes))
    return "sweep.yaml"


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavelight: ")]
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_runs_nothing_that_its_options_name(payloads, capsys, kind):
    for option in OPTIONS:
        said = refused(capsys, "sweep", sweep(variants={"one": {option: payloads[kind]}}))
        assert kind == "lambda" or "must be a class of wavelight" in said
        assert not payloads.ran


@pytest.mark.parametrize("kind", ["shell", "import", "a function of ours"])
def test_a_sweep_runs_nothing_that_its_files_name(payloads, capsys, kind):
    generator = {"model": {"init_args": {"generator_optimizer": payloads[kind]}}}
    Path("base.yaml").write_text(yaml.safe_dump(generator))
    Path("more.yaml").write_text(yaml.safe_dump({"base": [str(TINY), "base.yaml"]}))
    Path("optimizer.yaml").write_text(yaml.safe_dump(payloads[kind]))
    for options in ({"config": "more.yaml"}, {"model.generator_optimizer": "optimizer.yaml"}):
        said = refused(capsys, "sweep", sweep(variants={"one": options}))
        assert "of the sweep must be a class of wavelight" in said or OTHER_REASON in said
        assert not payloads.ran


def test_a_sweep_runs_nothing_that_its_comparison_names(payloads, capsys):
    for options in ({"metrics": [payloads["import"]]}, {"trust_code": True}):
        refused(capsys, "sweep", sweep(compare=options))
        assert not payloads.ran


def test_a_sweep_fetches_shards_by_no_command(payloads, capsys):
    urls = {"data.source": "ShardStream", "data.source.urls": f"pipe:touch {payloads.mark}"}
    said = refused(capsys, "sweep", sweep(variants={"one": urls}))
    assert "data.source.urls of the sweep" in said
    assert not payloads.ran


def test_a_sweep_may_name_what_training_has(capsys):
    options = {
        "trainer.callbacks": [
            {"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"},
        ],
        "trainer.strategy": {"class_path": "lightning.pytorch.strategies.DDPStrategy"},
        "trainer.profiler": {"class_path": "lightning.pytorch.profilers.SimpleProfiler"},
        "evaluation.metrics": [{"class_path": "wavelight.metrics.FrechetWaveletDistance"}],
    }  # fmt: skip
    main(["sweep", sweep(variants={"one": options}), "--dry_run"])
    assert "fit" in capsys.readouterr().out


def test_a_trusted_sweep_may_name_anything(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_callbacks.py").write_text(
        "import lightning as L\nclass Mine(L.Callback):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file = sweep(variants={"one": {"trainer.callbacks": [{"class_path": "my_callbacks.Mine"}]}})
    assert "my_callbacks.Mine" in refused(capsys, "sweep", file, "--dry_run")
    main(["sweep", file, "--dry_run", "--trust_code"])
    monkeypatch.setenv(EXTENSIONS, "my_callbacks")
    main(["sweep", file, "--dry_run"])
    assert capsys.readouterr().out.count("fit") == 2


@pytest.mark.parametrize("kind", ["shell", "import", "import by a text", "a function of ours"])
def test_words_of_an_agent_run_nothing(payloads, monkeypatch, capsys, kind):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    for option in ("model.generator_optimizer", "model.generator"):
        word = f"--{option}={yaml.safe_dump(payloads[kind], default_flow_style=True).strip()}"
        said = refused(capsys, "fit", "--config", str(TINY), word.removesuffix("...").strip())
        assert (
            "of the words of W&B's sweep must be a class of wavelight" in said
            or OTHER_REASON in said
        )
        assert not payloads.ran


def test_words_of_an_agent_may_name_what_training_has(monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    cli = CLI("fit", ["--config", str(TINY), "--model.generator_optimizer=torch.optim.SGD"])
    assert cli.config.model.init_args.generator_optimizer.class_path == "torch.optim.SGD"

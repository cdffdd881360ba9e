"""Faults that commands meet: damaged, missing and foreign checkpoints, signals, a folder in use, a full disk."""

import io
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from data_modules import ImageFolder
from tests import places
from tests.pictures import picture
from wavelight.__main__ import main
from wavelight.training.cli import _exit_code
from wavelight.training.run_lock import locked
from wavelight.weights import TRAINING_KEY, read_checkpoint, write_checkpoint

TINY = str(places.TINY)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


def command(method, *options, root="run"):
    main([method, "--config", TINY, "--trainer.default_root_dir", str(root), *options])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one epoch of two."""
    root = tmp_path_factory.mktemp("trained")
    command("fit", "--trainer.max_epochs", "1", root=root)
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    command("fit", root=root)
    return root


def sentence(capfd, call, code=2):
    """Return the one sentence with which a command ends."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        call()
    assert stopped.value.code == code
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    (said,) = [line for line in printed.splitlines() if line.startswith("wavelight: ")]
    assert len(said) < 500
    return said


def cut(share):
    return lambda content: content[: int(len(content) * share)]


def flipped(seed):
    """Flip one bit somewhere in the middle of a tensor."""

    def damage(content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = [each for each in archive.infolist() if each.file_size > 400]
        record = random.Random(seed).choice(records)
        # The content lies behind the local header and its two texts of unknown length, here at most 200 bytes.
        place = record.header_offset + 200 + random.Random(seed).randrange(record.file_size - 300)
        changed = bytearray(content)
        changed[place] ^= 1 << seed % 8
        return bytes(changed)

    return damage


def zeroed(content):
    return content[:4096] + bytes(len(content) - 4096)


def in_a_pickle(content):
    return pickle.dumps({"state_dict": {}})


def a_list(content):
    file = io.BytesIO()
    torch.save([1, 2], file)
    return file.getvalue()


def a_zip(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no checkpoint")
    return file.getvalue()


def without_its_end(content):
    return content[:-22]


DAMAGES = {
    "empty": lambda content: b"",
    "one byte": lambda content: b"P",
    "text": lambda content: b"not a checkpoint\n",
    "zeros": lambda content: bytes(1000),
    "cut to a tenth": cut(0.1),
    "cut to a half": cut(0.5),
    "cut to nine tenths": cut(0.9),
    "without its end": without_its_end,
    "zeros behind its start": zeroed,
    "doubled in itself": lambda content: content[: len(content) // 2] * 2,
    "a pickle": in_a_pickle,
    "a list": a_list,
    "another archive": a_zip,
    **{f"a flipped bit, {seed}": flipped(seed) for seed in range(8)},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_one_sentence_for_every_command(trained, tmp_path, capfd, name):
    shutil.copytree(trained, "run")
    path = Path("run/checkpoints/last.ckpt")
    path.write_bytes(DAMAGES[name](path.read_bytes()))
    damaged = path.read_bytes()
    for call in (
        lambda: command("fit", "--ckpt_path", "last"),
        lambda: command("fit", "--ckpt_path", str(path)),
        lambda: command("test", "--ckpt_path", "last"),
        lambda: command("predict", "--images", "2", "--out", "out"),
        lambda: main(["sample", str(path), "--images", "2", "--out", "out"]),
    ):
        assert "last.ckpt" in sentence(capfd, call)
    assert path.read_bytes() == damaged
    assert not Path("out").exists()


def test_the_newest_whole_one_is_used_with_a_warning(finished, tmp_path):
    shutil.copytree(finished, "run")
    path = Path("run/checkpoints/last.ckpt")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.warns(
        UserWarning, match=r"Taking .*previous.ckpt, of 24 images, because .*last.ckpt"
    ):
        command("fit", "--ckpt_path", "last")
    one, two = read_checkpoint(path), read_checkpoint(finished / "checkpoints" / "last.ckpt")
    for part in ("state_dict", TRAINING_KEY):
        assert all(torch.equal(tensor, two[part][name]) for name, tensor in one[part].items())


def test_a_missing_last_starts_nothing_afresh_over_a_best(trained, capfd):
    shutil.copytree(trained, "run")
    Path("run/checkpoints/last.ckpt").rename("run/checkpoints/best.ckpt")
    assert "best.ckpt" in sentence(capfd, lambda: command("fit"))
    with pytest.warns(UserWarning, match=r"because there is no .*last.ckpt"):
        command("fit", "--ckpt_path", "last")
    assert (
        read_checkpoint(Path("run/checkpoints/last.ckpt"))["wavelight_progress"]["images_seen"]
        == 48
    )


@pytest.mark.parametrize("method", ["test", "validate", "predict"])
@pytest.mark.parametrize(
    "options", [[], ["--ckpt_path", "last"], ["--ckpt_path", "best"], ["--ckpt_path", "x.ckpt"]]
)
def test_an_untrained_network_is_neither_measured_nor_sampled_from(capfd, method, options):
    more = ["--out", "out"] if method == "predict" else []
    assert "checkpoint" in sentence(
        capfd, lambda: command(method, *options, *more, root="mistyped")
    )
    assert not Path("out").exists()


def test_without_a_checkpoint_that_of_the_folder_is_sampled_from(finished):
    shutil.copytree(finished, "run")
    command("predict", "--images", "2", "--out", "one")
    command("predict", "--images", "2", "--out", "two", "--ckpt_path", "last")
    assert Path("one/000001.png").read_bytes() == Path("two/000001.png").read_bytes()


def test_a_folder_in_which_another_process_trains_is_refused(capfd):
    code = (
        "import time\nfrom wavelight.training.run_lock import locked\n"
        "with locked('run'):\n    print(flush=True)\n    time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(places.ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
    ) as other:
        other.stdout.readline()
        said = sentence(capfd, lambda: command("fit"))
        assert f"process {other.pid} on" in said
        other.kill()
    with locked(Path("run")):
        pass


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_the_exit_code_tells_the_signal(signum):
    more = Path("more.yaml")
    more.write_text(
        "trainer:\n  callbacks+:\n    - class_path: tests.runs.StopAt\n"
        f"      init_args: {{batches: 2, signum: {int(signum)}}}\n"
    )
    with pytest.raises(SystemExit) as stopped:
        command("fit", "--config", str(more))
    assert stopped.value.code == 128 + signum
    assert (
        read_checkpoint(Path("run/checkpoints/last.ckpt"))["wavelight_progress"]["batches_seen"]
        == 2
    )


@pytest.mark.parametrize(
    ("environment", "local_rank", "code"),
    [
        (LightningEnvironment(), 0, 138),
        # Lightning has started it, and would kill the first process.
        (LightningEnvironment(), 1, 0),
        (TorchElasticEnvironment(), 1, 138),
        (SLURMEnvironment(), 1, 138),
        (None, 0, 138),
    ],
)
def test_only_processes_that_lightning_started_hide_a_signal(environment, local_rank, code):
    trainer = SimpleNamespace(
        signals=SimpleNamespace(signal_number=signal.SIGUSR1),
        strategy=SimpleNamespace(cluster_environment=environment),
        local_rank=local_rank,
        is_global_zero=local_rank == 0,
    )
    assert _exit_code(SimpleNamespace(trainer=trainer)) == code


def test_a_run_whose_time_is_over_ends_well():
    with pytest.raises(SystemExit) as stopped:
        command("fit", "--trainer.max_time", "00:00:00:00", "--trainer.max_epochs", "40")
    assert not stopped.value.code
    seen = read_checkpoint(Path("run/checkpoints/last.ckpt"))["wavelight_progress"]["batches_seen"]
    assert seen == 1


def test_divergence_is_one_sentence_and_keeps_the_last_good_file(capfd):
    options = [
        f"--model.init_args.{player}_optimizer.init_args.lr=1e30"
        for player in ("generator", "discriminator")
    ]
    command("fit", "--trainer.max_epochs", "1")
    said = sentence(
        capfd,
        lambda: command("fit", "--ckpt_path", "last", "--last.every_n_batches", "1", *options),
        code=1,
    )
    assert "training has diverged: " in said
    assert "the last good file is run/checkpoints/last.ckpt, of " in said
    state = read_checkpoint(Path("run/checkpoints/last.ckpt"))
    assert all(tensor.isfinite().all() for tensor in state["state_dict"].values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            [
                "--model.init_args.generator_optimizer",
                "torch.optim.SGD",
                "--model.init_args.generator_optimizer.init_args.lr",
                "0.1",
            ],
            "torch.optim.sgd.SGD",
        ),
        (
            ["--model.init_args.scheduler", "torch.optim.lr_scheduler.ReduceLROnPlateau"],
            "ReduceLROnPlateau",
        ),
    ],
)
def test_going_on_with_what_cannot_be_is_refused(trained, capfd, options, words):
    shutil.copytree(trained, "run")
    before = Path("run/checkpoints/last.ckpt").read_bytes()
    assert words in sentence(capfd, lambda: command("fit", "--ckpt_path", "last", *options))
    assert Path("run/checkpoints/last.ckpt").read_bytes() == before


def test_a_checkpoint_of_before_without_checksums_is_read(tmp_path):
    """Of PyTorch before 1.6, no archive."""
    torch.save({"state_dict": {}}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / "old.ckpt") == {"state_dict": {}}
    write_checkpoint(tmp_path / "old.ckpt", {"state_dict": {}})
    assert zipfile.is_zipfile(tmp_path / "old.ckpt")


def test_a_monitor_that_nobody_measures_is_refused_before_the_first_batch(capfd):
    options = [
        "--data.val_images",
        "60",
        "--evaluation.reference_images",
        "64",
        "--best.monitor",
        "val/fid",
    ]
    said = sentence(capfd, lambda: command("fit", *options))
    assert (
        "best.monitor must be a metric of the validation, got val/fid; measured were: val/fwd60"
        in said
    )
    assert not list(Path("run").rglob("*.ckpt"))


def test_images_that_break_off_while_training_runs_are_one_sentence(tmp_path, capfd, monkeypatch):
    for number in range(12):
        picture(number, 16).save(tmp_path / f"{number:02d}.png")
    read, calls = ImageFolder.read, []

    def read_for_a_while(source, index, size):
        calls.append(index)
        if len(calls) > 20:
            (tmp_path / f"{index:02d}.png").unlink()
        return read(source, index, size)

    monkeypatch.setattr(ImageFolder, "read", read_for_a_while)
    folder = ["--data.source", "ImageFolder", "--data.source.path", str(tmp_path)]
    said = sentence(capfd, lambda: command("fit", *folder), code=1)
    assert ".png cannot be read: No such file or directory (set max_unreadable" in said

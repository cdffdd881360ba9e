"""Bad input that one process finds ends all of them in one sentence."""

import pytest

from tests.places import TINY
from tests.processes import run_apart

pytestmark = pytest.mark.ddp


@pytest.fixture
def metrics(tmp_path):
    """A metric whose weights are missing."""
    more = tmp_path / "more.yaml"
    more.write_text(
        "evaluation:\n"
        "  metrics:\n"
        "    - class_path: wavelight.metrics.InceptionMetrics\n"
        f"      init_args: {{weights: {tmp_path}/missing.pth}}\n"
    )
    return more


@pytest.mark.parametrize("devices", [1, 2])
def test_missing_weights_are_one_sentence_of_all_processes(tmp_path, metrics, devices):
    options = ["--trainer.devices", str(devices), "--data.val_images", "16"]
    options += ["--trainer.strategy", "ddp"] if devices > 1 else []
    done = run_apart("fit", tmp_path / "run", [TINY, metrics], *options)
    assert done.returncode == 2, done.stderr[-3000:]
    sentences = [line for line in done.stderr.splitlines() if line.startswith("wavelight: ")]
    assert len(sentences) == 1
    assert f"there are no Inception weights at {tmp_path}/missing.pth: fetch" in sentences[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.rstrip().endswith(sentences[0])

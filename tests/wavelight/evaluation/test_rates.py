"""Training and sampling are measured as they happen, in every precision and way."""

import copy

import pytest
import torch

from tests.tiny import tiny_system
from wavelight.evaluation import rates as module
from wavelight.evaluation.rates import (
    EAGER,
    WAYS,
    matrix_rate,
    rate_rows,
    rates,
)
from wavelight.evaluation.timing import Precision

CPU = torch.device("cpu")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_system_is_measured_in_each_precision_and_left_as_it_is(monkeypatch):
    monkeypatch.setattr(module, "published_batch", lambda _: 2)
    system = tiny_system()
    before = copy.deepcopy(system.state_dict())
    products = {Precision.float32: 1e3, Precision.bfloat16: 2e3}
    lines = [list(row.values()) for row in rate_rows("tiny", system, 2, products, 1, EAGER)]
    assert [line[:3] for line in lines] == [
        ["tiny", "float32", "eager"],
        ["tiny", "bfloat16", "eager"],
    ]
    for line in lines:
        trained, of_products, generated, of_products_sampling = line[3:]
        assert min(float(trained), float(generated)) > 0
        assert of_products.endswith("%")
        assert of_products_sampling.endswith("%")
    for name, weights in system.state_dict().items():
        assert torch.equal(before[name], weights), name


def test_fractions_are_of_the_operations_an_image_takes(monkeypatch):
    monkeypatch.setattr(module, "_images_a_second", lambda *_: 50.0)
    monkeypatch.setattr(module, "training_gflop", lambda *_: 8.0)
    (line,) = rate_rows("tiny", tiny_system(), 4, {Precision.tf32: 200.0}, 1, EAGER)
    # 50 images of 8 / 4 GFLOP are half of 200 GFLOP; those generated are 0.0049 * 2 GFLOP.
    assert list(line.values()) == ["tiny", "tf32", "eager", "50", "50%", "50", "0%"]


def test_what_fails_leaves_the_other_rows(capsys):
    def fail(*_):
        raise torch.OutOfMemoryError("no room\nfor more")

    speed = module._images_a_second(tiny_system(), fail, 4, Precision.float32, None, 1)
    assert speed != speed
    assert capsys.readouterr().err == "4 images, float32, eager: no room\n"


def test_the_table_has_a_line_for_each_precision_of_the_device(monkeypatch, capsys):
    monkeypatch.setattr(module, "MATRIX_SIDE", 32)
    monkeypatch.setattr(module, "rate_rows", lambda name, *_: iter([{"experiment": name}]))
    monkeypatch.setattr(module, "system_from_config", lambda text: tiny_system())
    first, *heading, demo = rates(["demo"], CPU, 1, WAYS)
    assert capsys.readouterr().err == "demo\n"
    assert first.startswith("TFLOP/s of products of 32^3: float32 ")
    assert "bfloat16 " in first
    assert "tf32" not in first
    assert len({len(cells(line)) for line in heading}) == 1
    assert cells(demo) == ["demo"]


def test_an_unknown_experiment_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(module, "matrix_rate", lambda *_: pytest.fail("measured"))
    with pytest.raises(ValueError, match=r"experiment must be one of .*, got 'gone'"):
        next(rates(["demo", "gone"], CPU, 1, EAGER))


def test_training_batches_are_those_of_one_device():
    assert module._training_batch("cifar10") == 256
    assert module._training_batch("celeba1024") == 4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_and_samples_in_every_precision_and_way():
    device = torch.device("cuda", 0)
    products = {precision: matrix_rate(precision, device, 2) for precision in Precision}
    system = tiny_system().to(device)
    lines = [list(row.values()) for row in rate_rows("tiny", system, 4, products, 2, WAYS)]
    assert len(lines) == len(Precision) * len(WAYS)
    for line in lines:
        assert float(line[3]) > 0, line
        assert float(line[5]) > 0, line

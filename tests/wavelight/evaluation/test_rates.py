"""Training and sampling are measured as they happen, in every precision and way."""

from functools import partial

import pytest
import torch

from tests.systems import tiny_hybrid
from tests.tiny import tiny_system
from wavelight.evaluation import rates as module
from wavelight.evaluation.rates import (
    EAGER,
    WAYS,
    counted_gflop,
    matrix_rate,
    rates,
    rows,
    seconds,
    training_iteration,
)
from wavelight.evaluation.timing import Precision
from wavelight.models import denoising_gan

CPU = torch.device("cpu")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def weights_of(system):
    model = system.models[0]
    return {
        name: torch.cat([weight.detach().flatten() for weight in player.network.parameters()])
        for name, player in model.players().items()
    }


def test_an_iteration_trains_every_player_without_the_penalty(monkeypatch):
    monkeypatch.setattr(denoising_gan, "r1_penalty", lambda *_: pytest.fail("a penalty"))
    system = tiny_system(r1_gamma=1.0, r1_every=2)
    before = weights_of(system)
    training_iteration(system, images=2)()
    for name, weights in weights_of(system).items():
        assert not torch.equal(before[name], weights), name


def test_an_iteration_is_that_of_the_trainer():
    """Both players see the same noise in the same order, and the second sees the first's step."""
    system, turns = tiny_system(), []
    losses = system.models[0].losses

    def watch(name, factor, turn, noise):
        turns.append((name, factor.target.shape, turn, noise.stream))
        return losses(name, factor, turn, noise)

    system.models[0].losses = watch
    training_iteration(system, images=3)()
    shape = torch.Size([3, 12, 8, 8])
    assert turns == [("discriminator", shape, 1, 0), ("generator", shape, 1, 1)]


def test_an_iteration_lets_players_rest():
    system = tiny_hybrid()  # whose discriminator plays every third turn
    discriminator = system.models[1].discriminator.stem.weight.clone()
    generator = system.models[1].generator.head.weight.clone()
    training_iteration(system, images=2)()
    assert torch.equal(discriminator, system.models[1].discriminator.stem.weight)
    assert not torch.equal(generator, system.models[1].generator.head.weight)


def test_operations_are_two_a_multiply_add():
    a, b = torch.ones(100, 200), torch.ones(200, 300)
    assert counted_gflop(lambda: a @ b) == 2 * 100 * 200 * 300 / 1e9


def test_the_time_is_the_mean_of_the_repetitions(monkeypatch):
    clock = iter([10.0, 16.0])
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    calls = []
    assert seconds(partial(calls.append, 0), CPU, repetitions=3) == 2
    assert len(calls) == module._WARM_UPS + 3


def test_a_system_is_measured_in_each_precision_and_left_as_it_is(monkeypatch):
    monkeypatch.setattr(module, "published_batch", lambda _: 2)
    system = tiny_system()
    before = weights_of(system)
    products = {Precision.float32: 1e3, Precision.bfloat16: 2e3}
    lines = [list(row.values()) for row in rows("tiny", system, 2, products, 1, EAGER)]
    assert [line[:3] for line in lines] == [
        ["tiny", "float32", "eager"],
        ["tiny", "bfloat16", "eager"],
    ]
    for line in lines:
        trained, of_products, generated, of_products_drawing = line[3:]
        assert min(float(trained), float(generated)) > 0
        assert of_products.endswith("%")
        assert of_products_drawing.endswith("%")
    for name, weights in weights_of(system).items():
        assert torch.equal(before[name], weights)


def test_fractions_are_of_the_operations_an_image_takes(monkeypatch):
    monkeypatch.setattr(module, "_images_a_second", lambda *_: 50.0)
    monkeypatch.setattr(module, "counted_gflop", lambda run: 8.0)
    (line,) = rows("tiny", tiny_system(), 4, {Precision.tf32: 200.0}, 1, EAGER)
    # 50 images of 8 / 4 GFLOP are half of 200 GFLOP; those generated are 0.0049 * 2 GFLOP.
    assert list(line.values()) == ["tiny", "tf32", "eager", "50", "50%", "50", "0%"]


def test_what_fails_leaves_the_other_rows(capsys):
    def start(system, images):
        raise torch.OutOfMemoryError("no room\nfor more")

    speed = module._images_a_second(tiny_system(), start, 4, Precision.float32, None, 1)
    assert speed != speed
    assert capsys.readouterr().err == "4 images, float32, eager: no room\n"


def test_the_table_has_a_line_for_each_precision_of_the_device(monkeypatch, capsys):
    monkeypatch.setattr(module, "MATRIX_SIDE", 32)
    monkeypatch.setattr(module, "rows", lambda name, *_: iter([{"experiment": name}]))
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
def test_a_gpu_trains_and_draws_in_every_precision_and_way():
    device = torch.device("cuda", 0)
    products = {precision: matrix_rate(precision, device, 2) for precision in Precision}
    system = tiny_system().to(device)
    lines = [list(row.values()) for row in rows("tiny", system, 4, products, 2, WAYS)]
    assert len(lines) == len(Precision) * len(WAYS)
    for line in lines:
        assert float(line[3]) > 0, line
        assert float(line[5]) > 0, line

"""The benchmark measures what it says, and its table can be read."""

import pytest
import torch

from wavelight.benchmark import Row, measure, table, training_iteration


def test_every_run_is_called_twice_a_turn() -> None:
    calls: list[str] = []
    seconds = measure({name: lambda name=name: calls.append(name) for name in "ab"}, turns=2)
    assert "".join(calls) == "ab" + "aabb" * 2
    for first, second in seconds.values():
        assert len(first) == len(second) == 2
        assert min(first + second) >= 0


def test_table_states_products_rates_and_fractions() -> None:
    rows = [
        Row("product", lambda: None, 10.0, None),
        Row("convolution", lambda: None, 2.0, None),
        Row("generator", lambda: None, 8.0, "convolution"),
    ]
    lines = table(rows, {"product": 0.1, "convolution": 0.01, "generator": 0.05}).splitlines()
    assert lines[1].split() == ["product", "100.00", "1.000", "100"]
    assert lines[3].split() == ["generator", "50.00", "0.500", "160", "80%"]


@pytest.mark.slow
def test_an_iteration_trains_both_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped: list[int] = []
    step = torch.optim.Adam.step

    def count(self: torch.optim.Adam) -> None:
        stepped.append(len(self.param_groups[0]["params"]))
        step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", count)
    training_iteration()()
    assert stepped == [31, 272]

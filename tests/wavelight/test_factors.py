"""A factor's shape is what its networks are built for, its condition what its target is generated given."""

import pytest
import torch

from wavelight.factors import UNCONDITIONAL, Condition, FactorShape


def test_it_has_no_condition_unless_it_is_said() -> None:
    assert FactorShape(3, 8, 16) == (3, 8, 16, 0)
    assert FactorShape(9, 8, 16, 3).condition_channels == 3


@pytest.mark.parametrize("condition_channels", [0, 3])
def test_a_square_has_equal_sides(condition_channels: int) -> None:
    shape = FactorShape.square(9, 8, condition_channels)
    assert isinstance(shape, FactorShape)
    assert shape == FactorShape(
        channels=9, height=8, width=8, condition_channels=condition_channels
    )
    assert shape.side == 8


def test_the_side_is_the_height() -> None:
    assert FactorShape(3, 8, 16).side == 8


def test_what_is_unconditional_refuses_a_condition() -> None:
    FactorShape.square(12, 8).refuse_condition("NCSNpp")
    with pytest.raises(
        ValueError,
        match=r"^NCSNpp is unconditional and cannot model detail bands given LL; use it for LL, "
        r"Pixels or Subbands$",
    ):
        FactorShape.square(9, 8, 3).refuse_condition("NCSNpp")


def test_part_of_a_condition_is_cut_from_all_that_there_is() -> None:
    ll, label = torch.arange(4.0).reshape(4, 1, 1, 1), torch.tensor([5, 6, 7, -1])
    part = Condition(ll, label).part(1, 3)
    assert torch.equal(part.true_ll(), ll[1:3])
    assert part.label is not None
    assert part.label.tolist() == [6, 7]
    assert UNCONDITIONAL.part(1, 3) == UNCONDITIONAL == (None, None)


def test_details_without_ll_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^ll must be given for details, got none: "):
        UNCONDITIONAL.true_ll()

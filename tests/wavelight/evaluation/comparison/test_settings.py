"""Each system is measured at the steps that it can take."""

from tests.systems import tiny_ddgan, tiny_sgm, tiny_wsgm
from wavelight.evaluation.comparison.settings import settings_of


def test_a_system_whose_steps_are_fixed_is_measured_once():
    found = settings_of({"sgm": tiny_sgm(), "ddgan": tiny_ddgan()}, [4, 8])
    assert found == {"sgm": [[4], [8]], "ddgan": [[]]}


def test_entries_are_for_systems_of_as_many_scales():
    found = settings_of({"sgm": tiny_sgm(), "wsgm": tiny_wsgm()}, [4, [8, 2, 2]])
    assert found == {"sgm": [[4]], "wsgm": [[4, 4, 4], [8, 2, 2]]}

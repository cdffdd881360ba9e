import pytest

from wavelight.commands.phi4 import phi4
from wavelight.theory.energy_table import energy_table


def test_table_has_a_floor_and_each_system_at_each_number_of_steps(tmp_path):
    plot = tmp_path / "made" / "curve.png"
    text = phi4(tmp_path / "fields", sizes=[8], steps=[2, 4], images=40, plot=plot)
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in text.splitlines()[4:]]
    assert rows == [
        ["8", "floor", "-"],
        *[["8", system, steps] for system in ("SGM", "WSGM") for steps in ("2", "4")],
    ]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("options", [{"images": 0}, {"steps": [4, 0]}])
def test_impossible_tables_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="must be at least 1"):
        phi4(tmp_path, **options)


@pytest.mark.slow
def test_errors_fall_with_the_steps_and_lie_lower_for_wsgm(tmp_path):
    rows = {
        (row.size, row.system, row.steps): row
        for row in energy_table(tmp_path, [8, 16], [16, 64], fields=1000, seed=0)
    }
    for size in (8, 16):
        for system in ("SGM", "WSGM"):
            few, many = rows[size, system, 16], rows[size, system, 64]
            assert many.spectrum < few.spectrum / 2
            assert many.marginal < few.marginal
        assert rows[size, "WSGM", 64].spectrum < rows[size, "SGM", 64].spectrum
        assert rows[size, "WSGM", 64].marginal < rows[size, "SGM", 64].marginal

import pytest
import torch
from torch import distributed, multiprocessing

from wavelight.support.errors import SaidElsewhereError, fail
from wavelight.support.refusals import refused_together


def test_one_process_raises_its_own_error_and_faults_pass():
    with pytest.raises(FileNotFoundError, match="missing"), refused_together():
        raise FileNotFoundError("missing")
    with pytest.raises(ZeroDivisionError), refused_together():
        _ = 1 / 0
    with refused_together():
        pass


def test_what_another_process_said_is_not_printed(capsys):
    with pytest.raises(SystemExit) as stopped:
        fail("said", SaidElsewhereError("said"))
    assert stopped.value.code == 2
    assert capsys.readouterr().err == ""


def refuse(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    found = []
    for refusing in ((), (1,), (0, 1)):
        try:
            with refused_together():
                if rank in refusing:
                    raise ValueError(f"of {rank}")
            found.append("went on")
        except ValueError as error:
            found.append(f"{type(error).__name__}: {error}")
    torch.save(found, f"{folder}/rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.ddp
def test_the_first_of_two_processes_says_it(tmp_path):
    multiprocessing.spawn(refuse, (str(tmp_path),), nprocs=2)
    assert [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)] == [
        ["went on", "SaidElsewhereError: rank 1 refuses its input", "ValueError: of 0"],
        ["went on", "ValueError: of 1", "SaidElsewhereError: rank 0 refuses its input"],
    ]

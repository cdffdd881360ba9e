"""Faults of the machine pass with one warning, those of code are seen."""

import errno

import pytest
import requests
import wandb

from wavelight.support.faults import GoingOn

OF_THE_MACHINE = [
    OSError(errno.ENOSPC, "No space left on device"),
    ConnectionResetError("reset"),
    TimeoutError("late"),
    requests.ConnectionError("lost"),
    wandb.errors.CommError("down"),
    wandb.errors.UsageError("no key"),
    wandb.sdk.mailbox.HandleAbandonedError("its process is gone"),
]


def raised_thrice(going_on, error):
    for _ in range(3):
        with going_on.despite_faults():
            raise error


@pytest.mark.parametrize("error", OF_THE_MACHINE, ids=repr)
def test_faults_of_the_machine_pass_with_one_warning(error):
    going_on = GoingOn("writing", "nothing is lost")
    with pytest.warns(UserWarning, match="writing failed, and all else goes on") as warned:
        raised_thrice(going_on, error)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), TypeError("x"), RuntimeError("x")]
)
def test_faults_of_code_are_raised(error):
    going_on = GoingOn("writing", "nothing is lost")
    with pytest.raises(type(error)), going_on.despite_faults():
        raise error


def test_an_interrupt_is_raised():
    with pytest.raises(KeyboardInterrupt), GoingOn("writing", "").despite_faults():
        raise KeyboardInterrupt

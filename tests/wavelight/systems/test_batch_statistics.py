"""Batch normalization that would see less than the global batch is refused before training."""

import pytest
from torch import nn

from tests.runs import fit
from tests.systems import tiny_hybrid
from wavelight.networks.batch_statistics import BatchNorm2d
from wavelight.support.errors import OptionError
from wavelight.systems.batch_statistics import check_batch_statistics
from wavelight.systems.parts import Parts

WHOLE, PARTS, PROCESSES = Parts(1, 1, 1), Parts(2, 1, 1), Parts(1, 1, 2)


def network(layer):
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(layer))


@pytest.mark.parametrize("layer", [BatchNorm2d(2), nn.SyncBatchNorm(2), nn.BatchNorm1d(2)])
def test_parts_have_no_batch_statistics(layer):
    sentence = (
        r"accumulate_grad_batches must be 1 with batch normalization \(models\.0\.1\.0\), .* got 2"
    )
    with pytest.raises(OptionError, match=sentence):
        check_batch_statistics("models.0", network(layer), PARTS)
    check_batch_statistics("models.0", network(layer), WHOLE)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.BatchNorm3d(2)])
def test_processes_have_no_statistics_of_their_own(layer):
    with pytest.raises(
        OptionError, match=r"models\.0\.1\.0 must normalize over .* all 2 processes"
    ):
        check_batch_statistics("models.0", network(layer), PROCESSES)
    for fine in (network(BatchNorm2d(2)), network(nn.SyncBatchNorm(2)), network(nn.Identity())):
        check_batch_statistics("models.0", fine, PROCESSES)


def test_kept_statistics_may_meet_any_part():
    check_batch_statistics("models.0", network(nn.BatchNorm2d(2)).eval(), Parts(2, 1, 2))


def test_a_run_is_refused_before_it_begins(tmp_path):
    system = tiny_hybrid(accumulate_grad_batches=2)
    with pytest.raises(OptionError, match=r"\(models\.1\.generator\.encoder\.0\.norm_in\)"):
        fit(tmp_path, system=system)
    assert not system.has_begun


def test_models_that_do_not_learn_are_not_asked(tmp_path):
    system = tiny_hybrid(accumulate_grad_batches=2, train=[0])
    fit(tmp_path, system=system, max_epochs=1, limit_train_batches=1)
    assert system.batches_seen == 1

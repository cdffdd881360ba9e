"""The place in an epoch that a checkpoint has: before an evaluation that is owed, and before the epoch's end."""

from typing import Any

import lightning as L


def as_before_its_end(fit_loop: dict[str, Any]) -> None:
    """Let a run that goes on make the end of an epoch whose batches are done, its evaluation from the start.

    Lightning takes such a place for one behind the evaluation, or even for one in the next epoch, and would skip
    what a signal cut short. Places inside an epoch, and behind its end, stay as they are.

    Args:
        fit_loop: The state of the trainer's fit loop, changed in place.
    """
    epoch = fit_loop["epoch_progress"]["current"]
    last = fit_loop["epoch_loop.batch_progress"]["is_last_batch"]
    if last and epoch["processed"] != epoch["started"]:
        as_before_evaluation(fit_loop)


def as_before_evaluation(fit_loop: dict[str, Any]) -> None:
    """Let a run that goes on begin with the evaluation behind the last batch, from the start.

    The counters are set to how Lightning counts before an evaluation's first batch is done.

    Args:
        fit_loop: The state of the trainer's fit loop, changed in place.
    """
    batches, evaluation = (
        fit_loop["epoch_loop.batch_progress"],
        fit_loop["epoch_loop.val_loop.batch_progress"],
    )
    for counters in (batches["total"], batches["current"]):
        counters["completed"] = counters["processed"]
    evaluation["total"] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    evaluation["current"] |= {"ready": 0, "started": 0, "processed": 0, "completed": 0}


def evaluates_after_batch(trainer: L.Trainer, batches_seen: int) -> bool:
    """Return whether an evaluation follows the batch of an epoch that was trained last.

    Args:
        trainer: In training.
        batches_seen: By the run.
    """
    every, epochs = trainer.val_check_batch, trainer.check_val_every_n_epoch
    if not (trainer.enable_validation and isinstance(every, int)):
        return False
    if epochs is None:
        return batches_seen > 0 and batches_seen % every == 0
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return batches > 0 and batches % every == 0 and (trainer.current_epoch + 1) % epochs == 0

"""The place in an epoch that a checkpoint has, where all batches are done and the epoch's end is not."""

from typing import Any


def as_before_its_end(fit_loop: dict[str, Any]) -> None:
    """Let a run that goes on make the end of an epoch whose batches are done, its evaluation from the start.

    Lightning takes such a place for one behind the evaluation, or even for one in the next epoch, and would skip
    what a signal cut short. Its counters are set to how it counts before an evaluation's first batch is done; places
    inside an epoch, and behind its end, stay as they are.

    Args:
        fit_loop: The state of the trainer's fit loop, changed in place.
    """
    batches, evaluation = (
        fit_loop["epoch_loop.batch_progress"],
        fit_loop["epoch_loop.val_loop.batch_progress"],
    )
    epoch = fit_loop["epoch_progress"]["current"]
    if not batches["is_last_batch"] or epoch["processed"] == epoch["started"]:
        return
    for counters in (batches["total"], batches["current"]):
        counters["completed"] = counters["processed"]
    evaluation["total"] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    evaluation["current"] |= {"ready": 0, "started": 0, "processed": 0, "completed": 0}

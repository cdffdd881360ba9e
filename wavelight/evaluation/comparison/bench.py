"""Where every system is measured in the same way."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from data_modules import WaveletDataModule
from wavelight.callbacks.batch_times import BatchTimes
from wavelight.checkpoints.digest import digest
from wavelight.evaluation.comparison.report import tell_row
from wavelight.evaluation.comparison.rows import ComparisonRow, row_key
from wavelight.evaluation.comparison.runs import ComparedRun
from wavelight.evaluation.meter import Meter, identities
from wavelight.metrics import ImageMetric
from wavelight.models import GenerativeModel
from wavelight.support.stopwatch import device_name
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import NetworkCost, cost


class Bench:
    """Where every system is measured in the same way.

    Args:
        data: Real images, and the numbers of those to sample.
        metrics: Metrics to compute.
        reference_images: How many real images to measure; none takes all.
        seed: The seed of the set of images.
        device: The device: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.
        devices: How many devices of that kind.

    Raises:
        FileNotFoundError: If a metric's weights are missing.
        ValueError: If there are no such devices.
    """

    def __init__(
        self,
        data: WaveletDataModule,
        metrics: list[ImageMetric],
        reference_images: int | None,
        seed: int,
        device: str | None,
        devices: int,
    ) -> None:
        self.data = data
        self.seed = seed
        self.conditions = {
            "data": data.fingerprint,
            "images": data.val_images,
            "reference_images": reference_images,
            "seed": seed,
            "metrics": identities(metrics),
        }
        self._times = BatchTimes()
        self._meter = Meter(data, metrics, reference_images, device, devices, [self._times])

    def rows(
        self,
        run: ComparedRun,
        system_name: str,
        system: ImageGenerator,
        settings: list[list[int]],
        known: Mapping[str, ComparisonRow],
    ) -> Iterator[ComparisonRow]:
        """Measure a system at each setting of its steps, unless that is known, and tell it.

        Args:
            run: The run that the system is of.
            system_name: The name that it shares with other seeds of it.
            system: The system.
            settings: Steps of its score models, setting by setting.
            known: Rows that were measured before, by their keys.
        """
        facts = _facts(run, system_name)
        conditions = self.conditions | {
            "weights": digest(system),
            # The same weights may sample with another sampler.
            "model": _digest(run.config["model"]),
        }
        # A system is counted before a Trainer has it.
        costs = {
            tuple(each): _counted(system, each)
            for each in settings
            if row_key(conditions, each) not in known
        }
        for each in settings:
            if tuple(each) in costs:
                row = self._measure(facts, system, each, costs[tuple(each)], conditions)
                tell_row(row)
            else:
                measured = known[row_key(conditions, each)]
                row = measured._replace(**facts)
                tell_row(row, "measured before")
            yield row

    def _measure(
        self,
        facts: Mapping[str, Any],
        system: ImageGenerator,
        steps: list[int],
        networks: list[NetworkCost],
        conditions: dict[str, Any],
    ) -> ComparisonRow:
        _take_steps(system, steps)
        system.seed = self.seed
        # Evaluation tells it beside the values.
        system.images_seen = facts["images_seen"] or 0
        values = self._meter.values(system)
        return ComparisonRow(
            **facts,
            steps=steps,
            networks=networks,
            milliseconds=self._times.milliseconds,
            batch_size=self.data.eval_batch_size,
            device=device_name(self._meter.device),
            values=values,
            held_out=self._meter.held_out,
            held_out_images=min(self.data.held_out_images, self.data.val_images),
            conditions=conditions,
        )


def _facts(run: ComparedRun, system_name: str) -> dict[str, Any]:
    """Return the fields of a row that say of which run it is."""
    return {
        "run": run.name,
        "system": system_name,
        "training_seed": run.seed,
        "checkpoint": str(run.path),
        "trained_on": run.trained_on,
        "images_seen": run.images_seen,
    }


def _counted(system: ImageGenerator, steps: list[int]) -> list[NetworkCost]:
    _take_steps(system, steps)
    return cost(system)


def _take_steps(system: ImageGenerator, steps: list[int]) -> None:
    for model, number in zip(models_in_steps(system), steps, strict=True):
        model.take_steps(number)


def models_in_steps(system: ImageGenerator) -> list[GenerativeModel]:
    """Return the models whose steps are a choice, from coarse to fine."""
    return [model for model in system.factor_models() if model.steps is not None]


def _digest(section: Any) -> str:
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()[:16]

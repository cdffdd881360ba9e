"""Models whose sampler goes through a schedule of times, in a number of steps that can be chosen after training."""

import torch
from typing_extensions import override

from wavelight.diffusion.parameterizations import Parameterization
from wavelight.diffusion.processes import Process
from wavelight.diffusion.schedules import Schedule
from wavelight.models.base import GenerativeModel


class SteppedModel(GenerativeModel):
    """A model that samples along the path of a process, from the first of some times to the last.

    Args:
        process: How targets turn to noise.
        schedule: Where the steps of sampling begin and end.
        steps: Number of steps.
        parameterization: How the network gives a denoiser, which has to be finite where the steps begin; none for
            a network that is used as it is.

    Raises:
        ValueError: If there is no step, or the network's prediction denoises nothing where the steps begin.
    """

    def __init__(
        self,
        process: Process,
        schedule: Schedule,
        steps: int,
        parameterization: Parameterization | None = None,
    ) -> None:
        super().__init__()
        self.process = process
        self.schedule = schedule
        self._denoised_by = parameterization
        self.take_steps(steps)

    @override
    def take_steps(self, steps: int) -> None:
        """Sample in another number of steps from now on; what is learnt does not depend on it.

        Args:
            steps: Of the sampler.

        Raises:
            ValueError: If there is no step, or if the network's prediction denoises nothing where the
                steps begin.
        """
        # Numbers for the sampler, which are needed where networks are built without values, too.
        with torch.device("cpu"):
            self.times = self.schedule(self.process, steps)
            if self._denoised_by is not None:
                self._check_start(self._denoised_by)

    def _check_start(self, parameterization: Parameterization) -> None:
        coefficients = parameterization.preconditioning(self.process, self.times[0])
        if not all(value.isfinite() for value in coefficients):
            raise ValueError(
                f"schedule must start before time {self.times[0]:g} of {type(self.process).__name__}, where nothing is "
                f"left of the image, got {type(self.schedule).__name__} with {type(parameterization).__name__}, "
                "which has no finite denoiser there: take Karras, or FlowPrediction"
            )

    @property
    @override
    def steps(self) -> int:
        """The sampler's steps."""
        return len(self.times) - 1

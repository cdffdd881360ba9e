"""Acceleration of a run that changes its numbers by rounding alone."""

import lightning as L
import torch
from typing_extensions import override

from wavelight.support.private_names import is_compiled
from wavelight.systems import ImageGenerator

GRAPHS_A_NETWORK = 16
"""Graphs that a network may be compiled into: with and without gradients, for training and for sampling, and so on."""


class Acceleration(L.Callback):
    """Compiles the networks, and lets CUDA multiply float32 numbers as TensorFloat-32.

    The networks are compiled in place: parameters and checkpoints keep their names. The first
    batches of a run take minutes, while it compiles. In batches with the R1 penalty the discriminator sees
    real images uncompiled, since compiled networks have no second derivative.

    Args:
        compile: Whether networks are compiled.
        tensor_float_32: Whether factors of float32 products and convolutions are rounded to 10 bits
            on GPUs that are faster so.
    """

    def __init__(self, compile: bool = True, tensor_float_32: bool = True) -> None:
        self.compile = compile
        self.tensor_float_32 = tensor_float_32
        self._before: tuple[str, bool, int] | None = None

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ImageGenerator)
        self._remember()
        if self.tensor_float_32:
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
        if self.compile:
            self._compile(pl_module)

    def _compile(self, system: ImageGenerator) -> None:
        networks = [
            player.network
            for model in system.factor_models()
            for player in model.players().values()
        ]
        for network in networks:
            if not is_compiled(network):  # a stage before this one may have compiled it
                network.compile(dynamic=False)
        # Networks of one class are one function to the compiler, and share its limit.
        torch.compiler.config.recompile_limit = GRAPHS_A_NETWORK * len(networks)

    def _remember(self) -> None:
        self._before = (
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.allow_tf32,
            torch.compiler.config.recompile_limit,
        )

    def _restore(self) -> None:
        if self._before is None:
            return
        precision, torch.backends.cudnn.allow_tf32, limit = self._before
        torch.set_float32_matmul_precision(precision)
        torch.compiler.config.recompile_limit = limit
        self._before = None

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._restore()

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        # Lightning tears no callback down after one.
        self._restore()

"""Networks whose features of images are compared."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class FeatureExtractor(nn.Module, ABC):
    """A network that maps images to feature vectors. It is never trained, and no part of the model.

    Attributes:
        has_classes: Whether :meth:`logits` tells classes by the features.
    """

    has_classes: bool = False

    num_features: int
    """Length of a vector; asked for after :meth:`prepare`."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Which network with which weights, as text; asked for after :meth:`prepare`."""

    def prepare(self) -> None:
        """Load the weights.

        Raises:
            FileNotFoundError: If there are none, with a sentence that says how to get them.
        """

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, num_features)`` floats, of ``(N, C, H, W)`` uint8 images."""

    def logits(self, features: Tensor) -> Tensor:
        """Return logits ``(N, classes)`` of features ``(N, num_features)``, where the network has classes."""
        raise NotImplementedError(f"{type(self).__name__} has no classes")

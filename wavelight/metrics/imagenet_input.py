"""The input of networks that were trained on ImageNet's colours, such as DINOv2's."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class ImageNetInput(nn.Module):
    """A network behind the resize and the colours that it was trained with, to write as a feature network.

    Bytes are resized by Pillow's bicubic and rounded to bytes again, and colours have ImageNet's means and standard
    deviations taken out. For the Fréchet distance of DINOv2 features (Stein et al., 2023) the network is DINOv2's
    ViT-L/14, whose output is the class token::

        write_feature_network(ImageNetInput(dinov2.eval()), "dinov2.pt2", image_size=256)

    ``FeatureNetworkMetrics(network="dinov2.pt2", distance="fd_dinov2")`` measures through it.

    Args:
        network: Maps ``(N, 3, side, side)`` float32 to features ``(N, D)``.
        side: Height and width in pixels of its input.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, side: int = 224) -> None:
        super().__init__()
        self.network = network
        self.side = side
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def pictures(self, images: Tensor) -> Tensor:
        """Return the network's input, ``(N, 3, side, side)``, of ``(N, 1 or 3, H, W)`` uint8 images."""
        colours = images.float().expand(-1, 3, -1, -1)
        # Pillow's bicubic, which rounds to bytes between the passes, too: with antialias a is -0.5, as Pillow's.
        for size in ((images.shape[2], self.side), (self.side, self.side)):
            passed = functional.interpolate(colours, size, mode="bicubic", antialias=True)
            colours = passed.round().clamp(0, 255)
        return (colours / 255 - self.mean) / self.deviation

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return the network's features of ``(N, 1 or 3, H, W)`` uint8 images."""
        return self.network(self.pictures(images))

"""Networks, from tensors to tensors: they know no loss, no data and no configuration."""

from wavelight.networks.discriminators import LargeDiscriminator, SmallDiscriminator
from wavelight.networks.improved_unet import ImprovedUNet
from wavelight.networks.ncsnpp import NCSNpp
from wavelight.networks.wavelet_ncsnpp import WaveletNCSNpp

__all__ = [
    "ImprovedUNet",
    "LargeDiscriminator",
    "NCSNpp",
    "SmallDiscriminator",
    "WaveletNCSNpp",
]

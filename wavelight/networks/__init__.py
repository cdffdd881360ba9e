"""Networks, from tensors to tensors: they know no loss, no data and no configuration."""

from wavelight.networks.attention_gate_unet import AttentionGateUNet
from wavelight.networks.autoencoder import Autoencoder
from wavelight.networks.discriminators import LargeDiscriminator, SmallDiscriminator
from wavelight.networks.improved_unet import ImprovedUNet
from wavelight.networks.late_noise_unet import LateNoiseUNet
from wavelight.networks.modern_gan import GroupedDiscriminator, GroupedUNet
from wavelight.networks.ncsnpp import NCSNpp
from wavelight.networks.one_shot import DetailDiscriminator, DetailGenerator
from wavelight.networks.residual_discriminator import ResidualDiscriminator
from wavelight.networks.wavelet_ncsnpp import WaveletNCSNpp

__all__ = [
    "AttentionGateUNet",
    "Autoencoder",
    "DetailDiscriminator",
    "DetailGenerator",
    "GroupedDiscriminator",
    "GroupedUNet",
    "ImprovedUNet",
    "LargeDiscriminator",
    "LateNoiseUNet",
    "NCSNpp",
    "ResidualDiscriminator",
    "SmallDiscriminator",
    "WaveletNCSNpp",
]

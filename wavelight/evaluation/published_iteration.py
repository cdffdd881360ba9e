"""The published training iteration's arithmetic, to be timed beside ours: a stand-in for the published code.

WaveDiff and DDGAN (Phung et al. 2023; Xiao et al. 2022) train eagerly, in float32, on contiguous tensors: each linear
layer alone, features padded, filtered and enlarged *before* they are convolved, each gradient term by a backward pass
of its own, weights stepped and averaged one after the other. The stand-in does so with the weights of a system of ours,
in lines of our own. It leaves out what else costs the published code time (copies of all weights for the EMA, dense
matrices for wavelets), so that a ratio to it says too little rather than too much.
"""

import copy
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.losses.logistic import fake_logistic_loss, real_logistic_loss
from wavelight.models import DenoisingGAN
from wavelight.networks import NCSNpp
from wavelight.networks.attention import PixelAttention, PixelLinear
from wavelight.networks.discriminators import SLOPE, Discriminator, DiscriminatorBlock
from wavelight.networks.normalization import EPSILON, AdaptiveGroupNorm
from wavelight.networks.resampling import FilteredConvolutionDown, FilteredDown
from wavelight.networks.residual import DownBlock, Residual, UpBlock
from wavelight.networks.unet import DecoderLevel, EncoderLevel, Stage
from wavelight.systems import ImageGenerator

_BETAS = (0.5, 0.9)
_DECAY = 0.9999


def can_stand_in(system: ImageGenerator) -> bool:
    """Tell whether a system is one whose published iteration is known: plain WaveDiff or DDGAN."""
    (model, *others) = system.factor_models()
    return not others and isinstance(model, DenoisingGAN) and type(model.generator) is NCSNpp


class PublishedIteration:
    """Trains a copy of a system's networks by the published arithmetic, one batch without the R1 penalty a call.

    Args:
        system: One that :func:`can_stand_in`; it is left as it is.
        image: The batch, ``(N, C, H, W)`` in [-1, 1].

    Raises:
        ValueError: If the system is another.
    """

    def __init__(self, system: ImageGenerator, image: Tensor) -> None:
        if not can_stand_in(system):
            raise ValueError(
                f"the published iteration is known for NCSNpp in a DenoisingGAN only, got {type(system).__name__} "
                "with others: take cifar10 or a _ddgan experiment"
            )
        self._factorization = system.factorization
        self._image = image
        model = cast(DenoisingGAN, system.factor_models()[0])
        self._diffusion, self._latent = model.diffusion, model.latent_features
        self._reconstruction = model.reconstruction_weight
        self._generator = cast(NCSNpp, _contiguous(model.generator))
        self._discriminator = cast(Discriminator, _contiguous(model.discriminator))
        self._optimizers = {
            network: torch.optim.Adam(network.parameters(), lr=1e-4, betas=_BETAS, foreach=False)
            for network in (self._generator, self._discriminator)
        }
        self._averages = [weight.detach().clone() for weight in self._generator.parameters()]

    def __call__(self) -> None:
        """Train both networks on the batch."""
        x0 = self._factorization.encode(self._image)[0].target.contiguous()
        self._begin(self._discriminator, self._generator)
        xt, x_next, t = self._pair(x0)
        real_logistic_loss(score(self._discriminator, xt, t, x_next)).backward(retain_graph=True)
        _, fake = self._fake(x_next, t)
        fake_logistic_loss(score(self._discriminator, fake, t, x_next)).backward()
        self._optimizers[self._discriminator].step()
        self._begin(self._generator, self._discriminator)
        _, x_next, t = self._pair(x0)
        predicted, fake = self._fake(x_next, t)
        loss = real_logistic_loss(score(self._discriminator, fake, t, x_next))
        (loss + self._reconstruction * (predicted - x0).abs().mean()).backward()
        self._optimizers[self._generator].step()
        with torch.no_grad():
            for average, weight in zip(self._averages, self._generator.parameters(), strict=True):
                average.mul_(_DECAY).add_(weight, alpha=1 - _DECAY)

    def _begin(self, learning: nn.Module, resting: nn.Module) -> None:
        learning.requires_grad_(True).zero_grad()
        resting.requires_grad_(False)

    def _pair(self, x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t = torch.randint(self._diffusion.steps, x0.shape[:1], device=x0.device)
        xt = self._diffusion.perturb(x0, t, torch.randn_like(x0))
        return xt.requires_grad_(), self._diffusion.step(xt, t, torch.randn_like(x0)).detach(), t

    def _fake(self, x_next: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        latent = torch.randn(len(t), self._latent, device=t.device)
        predicted = predict(self._generator, x_next, t, latent)
        return predicted, self._diffusion.posterior(predicted, x_next, t, torch.randn_like(x_next))


def predict(network: NCSNpp, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
    """Return what a generator samples, by the published arithmetic; arguments are the network's own."""
    step, style = network.step_mapping(t), network.latent_mapping(z)
    image, skips = x, [network.stem(x)]
    for level in cast(list[EncoderLevel], list(network.encoder)):
        for stage in level.stages:
            skips.append(_stage(cast(Stage, stage), skips[-1], step, style))
        if level.down is not None:
            halved = _block(cast(Residual, level.down), skips[-1], step, style)
            pyramid = cast(FilteredConvolutionDown, level.pyramid)
            image = (
                pyramid.convolution(_filtered(image, pyramid.smooth.kernel, (2, 2))) + halved
            ) / sqrt(2)
            skips.append(image)
    h = skips[-1]
    for stage in network.middle:
        h = _stage(cast(Stage, stage), h, step, style)
    for upward in cast(list[DecoderLevel], list(network.decoder)):
        for stage in upward.stages:
            h = _stage(cast(Stage, stage), torch.cat([h, skips.pop()], dim=1), step, style)
        if upward.up is not None:
            h = _block(cast(Residual, upward.up), h, step, style)
    norm = network.head_norm
    h = functional.silu(functional.group_norm(h, norm.num_groups, norm.weight, norm.bias, norm.eps))
    h = network.head(h)
    return torch.tanh(h) if network.bounded else h


def score(network: Discriminator, x_t: Tensor, t: Tensor, x_next: Tensor) -> Tensor:
    """Return the logits of a discriminator, by the published arithmetic; arguments are the network's own."""
    step = network.step_embedding(t)
    h = network.stem(torch.cat([x_t, x_next], dim=1))
    for block in network.blocks:
        h = _discriminator_block(cast(DiscriminatorBlock, block), h, step)
    h = functional.leaky_relu(network.conv_out(network.spread(h)), SLOPE)
    return network.score(h.sum(dim=(2, 3)))


def _contiguous(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).float().train().to(memory_format=torch.contiguous_format)


def _stage(stage: Stage, x: Tensor, step: Tensor, style: Tensor) -> Tensor:
    h = _block(stage.block, x, step, style)
    return _attend(stage.attention, h) if isinstance(stage.attention, PixelAttention) else h


def _block(block: Residual, x: Tensor, step: Tensor, style: Tensor) -> Tensor:
    h = functional.silu(_norm(block.norm_in, x, style))
    if isinstance(block, DownBlock):
        h, x = _halved(h, block.down), _halved(x, block.down)
    elif isinstance(block, UpBlock):
        h, x = _doubled(h), _doubled(x)
    h = block.conv_in(h) + block.step(step)[:, :, None, None]
    h = block.conv_out(functional.silu(_norm(block.norm_out, h, style)))
    return (block.shortcut(x) + h) / sqrt(2)


def _discriminator_block(block: DiscriminatorBlock, x: Tensor, step: Tensor) -> Tensor:
    h = block.conv_in(functional.leaky_relu(x, SLOPE)) + block.step(step)[:, :, None, None]
    h = functional.leaky_relu(h, SLOPE)
    if isinstance(block.resample, FilteredDown):
        h, x = _halved(h, block.resample), _halved(x, block.resample)
    return (block.conv_out(h) + block.shortcut(x)) / sqrt(2)


def _norm(norm: AdaptiveGroupNorm, x: Tensor, style: Tensor) -> Tensor:
    scale, shift = norm.style(style)[:, :, None, None].chunk(2, dim=1)
    return scale * functional.group_norm(x, norm.groups, eps=EPSILON) + shift


def _attend(attention: PixelAttention, x: Tensor) -> Tensor:
    norm = attention.norm
    h = functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    layers = (attention.query, attention.key, attention.value)
    query, key, value = (_mapped(h, layer) for layer in layers)
    weights = torch.einsum("nchw,ncij->nhwij", query, key) / sqrt(x.shape[1])
    weights = weights.flatten(3).softmax(dim=3).view_as(weights)
    read = torch.einsum("nhwij,ncij->nchw", weights, value)
    return (x + _mapped(read, attention.out)) / sqrt(2)


def _mapped(x: Tensor, layer: PixelLinear) -> Tensor:
    return (x.permute(0, 2, 3, 1) @ layer.weight + layer.bias).permute(0, 3, 1, 2)


def _halved(x: Tensor, down: FilteredDown) -> Tensor:
    return _filtered(x, down.kernel, (1, 1))[:, :, ::2, ::2]


def _doubled(x: Tensor) -> Tensor:
    """Put zeros between samples, and filter."""
    batch, channels, height, width = x.shape
    spread = functional.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device) / 4
    spread = spread.reshape(batch, channels, 2 * height, 2 * width)
    return _filtered(spread, torch.outer(taps, taps)[None, None], (2, 1))


def _filtered(x: Tensor, kernel: Tensor, margin: tuple[int, int]) -> Tensor:
    """Filter each channel as an image of its own, with zeros before and behind."""
    padded = functional.pad(x, margin * 2)
    filtered = functional.conv2d(padded.flatten(0, 1)[:, None], kernel)
    return filtered.view(*x.shape[:2], *filtered.shape[2:])

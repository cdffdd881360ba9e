"""What is shown of details: two tables, a file of all numbers, and pictures of samples at one coarse band."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wavelight.checkpoints.digest import digest
from wavelight.evaluation.details.ensembles import Diversity
from wavelight.evaluation.details.exposure import Exposure
from wavelight.evaluation.details.held_out import floats
from wavelight.evaluation.details.pyramids import PyramidSystem
from wavelight.evaluation.details.true_bands import given_true_bands, numbers_of_draw
from wavelight.evaluation.upscaling import smaller
from wavelight.support.figures import save_figure
from wavelight.support.files import write_json
from wavelight.support.pictures import field_limit, picture_of_field, picture_of_pixels
from wavelight.support.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_IMAGES = 4
_SHOWN_DRAWS = 4

_EXPOSURE_LEGEND = (
    "true: what is taken from real held-out images; all finer details are generated given it. fwd_coarse: the "
    "Fréchet wavelet distance of means over the blocks of the coarsest band; fwd_details: the rest, of packets that "
    "are no larger than that band.",
    "Exposure bias: how much larger fwd_details is in a system's first row than in its second. All Fréchet distances "
    "fall with the number of images, and few images of little variance come below the real ones: take thousands.",
)
_DIVERSITY_LEGEND = (
    "Details of a level given its true coarse band, in standard deviations of the true details of the row. spread: "
    "standard deviation of samples at one coarse band (0: the noise is not used); error: of the samples' expectation.",
    "spread/error, ± its standard error over images: 1 is calibrated, less is too little diversity. crps: the fair "
    "one, small is good, which also counts how much of the coarse band is used. explained: 1 - error^2.",
)


def write(
    path: Path,
    conditions: dict[str, Any],
    systems: list[PyramidSystem],
    exposed: list[Exposure],
    diverse: list[Diversity],
) -> None:
    """Write all numbers as JSON in place of those of the file."""
    weights = {
        system.name: {"checkpoint": str(system.path), "weights": digest(system.generator)}
        for system in systems
    }
    numbers = {
        "conditions": conditions,
        "systems": weights,
        "exposure": [row._asdict() for row in exposed],
        "diversity": [
            row._asdict() | {"ratio": row.ratio, "explained": row.explained} for row in diverse
        ],
    }
    write_json(path, numbers)


def report(conditions: dict[str, Any], exposed: list[Exposure], diverse: list[Diversity]) -> str:
    """Return both tables, and what was measured, as Markdown."""
    real = conditions["reference_images"]
    first = (
        f"{conditions['images']:,} images of seed {conditions['seed']} a row, against "
        f"{'all' if real is None else f'{real:,}'} real images of the training part."
    )
    second = f"{conditions['draws']} samples at each of {conditions['bands']:,} true coarse bands."
    return "\n".join(
        [
            first,
            *_EXPOSURE_LEGEND,
            "",
            *markdown_table([_exposure_cells(row) for row in exposed]),
            "",
            second,
            *_DIVERSITY_LEGEND,
            "",
            *markdown_table([_diversity_cells(row) for row in diverse]),
        ]
    )


def _exposure_cells(row: Exposure) -> dict[str, str]:
    values = {name: f"{value:.4g}" for name, value in row.values.items()}
    return {"system": row.system, "true": row.true} | values


def _diversity_cells(row: Diversity) -> dict[str, str]:
    return {
        "system": row.system,
        "level": str(row.level),
        "band": row.band,
        "spread": f"{row.spread:.3f}",
        "error": f"{row.error:.3f}",
        "spread/error": f"{row.ratio:.3f} ± {row.ratio_error:.3f}",
        "crps": f"{row.crps:.4f}",
        "explained": f"{row.explained:.3f}",
    }


@torch.no_grad()
def draw(
    figure: "Figure", systems: list[PyramidSystem], true: Tensor, draws: int, seed: int, path: Path
) -> None:
    """Sample a block a system and a row an image: coarse band, image, samples given the band, their deviation.

    Args:
        figure: What to draw into.
        systems: The systems.
        true: ``(N, C, H, W)`` real images, bytes or floats, of which the first are shown.
        draws: How many the deviation is of.
        seed: The seed of the samples.
        path: The PNG.
    """
    true = true[:_SHOWN_IMAGES]
    ensembles = [_at_fixed_band(system, true, draws, seed) for system in systems]
    deviations = [ensemble.var(0).mean(1).sqrt() for ensemble in ensembles]
    brightest = field_limit(torch.stack(deviations))
    columns = 3 + min(draws, _SHOWN_DRAWS)
    label = "of pixels in [-1, 1]" if systems[0].generator.bounded else ""
    figure.set_size_inches(1.3 * columns + 0.9, (1.3 * len(true) + 0.6) * len(systems))
    blocks = figure.subfigures(len(systems), 1, squeeze=False)[:, 0]
    for block, system, ensemble, deviation in zip(
        blocks, systems, ensembles, deviations, strict=True
    ):
        grid = block.subplots(len(true), columns, squeeze=False)
        # Columns of pictures, each (N, 3, height, width).
        shown = _pictures(system, true, ensemble[: columns - 3])
        for title, axes, pictures in zip(shown, grid.T[:-1], shown.values(), strict=True):
            axes[0].set_title(title, fontsize="small")
            for axis, picture in zip(axes, pictures, strict=True):
                axis.imshow(picture.permute(1, 2, 0), interpolation="nearest")
        for axis, field in zip(grid[:, -1], deviation, strict=True):
            heat = axis.imshow(field, cmap="magma", vmin=0, vmax=brightest, interpolation="nearest")
        grid[0, -1].set_title(f"deviation, {draws} samples", fontsize="small")
        block.colorbar(heat, ax=grid[:, -1], label=label)
        for axis in grid.flat:
            axis.set_xticks([])
            axis.set_yticks([])
        block.suptitle(system.name)
    save_figure(figure, path)


def _at_fixed_band(system: PyramidSystem, true: Tensor, draws: int, seed: int) -> Tensor:
    """Return images generated given the coarsest band of true ones, ``(samples, N, C, H, W)`` on the CPU."""
    generator, index = system.generator, torch.arange(len(true), device=system.generator.device)
    images = floats(true, generator.device)
    return torch.stack(
        [
            given_true_bands(generator, images, 1, numbers_of_draw(index, draw), seed).cpu()
            for draw in range(draws)
        ]
    )


def _pictures(system: PyramidSystem, true: Tensor, draws: Tensor) -> dict[str, Tensor]:
    """Return what is shown beside each other, by its title; each ``(N, 3, height, width)`` uint8."""
    images = floats(true, torch.device("cpu"))
    coarse = smaller(images, system.pyramid, system.pyramid.levels)
    side = coarse.shape[-1]
    columns = {f"coarse band, {side}x{side}": coarse, "held-out image": images}
    columns |= {f"sample {number}": generated for number, generated in enumerate(draws, start=1)}
    if not system.generator.bounded:
        limit = field_limit(images)
        return {title: picture_of_field(fields / limit) for title, fields in columns.items()}
    return {
        title: picture_of_pixels(pixels).expand(-1, 3, -1, -1) for title, pixels in columns.items()
    }

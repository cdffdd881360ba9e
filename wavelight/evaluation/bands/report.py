"""The statistics of bands as a table, as JSON, and in W&B."""

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavelight.evaluation.bands import (
    MEASURES,
    Interval,
    LevelMeasures,
    Whitening,
    condition_floor,
)
from wavelight.support.files import write_text
from wavelight.support.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONDITIONS = (
    "{images} images of {image_size}x{image_size}, channels {channels}, wavelet {wavelet}, seed {seed}. The data "
    "set's mean of each channel was removed, and all was divided by one number, the standard deviation of pixels."
)


_WHITENING = (
    "How far a Gaussian fitted to LL is from white: that is conditioning, not Gaussianity. KL/d: of N(0, I) to "
    "N(mu, S), in nats; unit: after LL was divided to unit mean variance. S is block-diagonal in the spectrum named, "
    "where LL counts as stationary; grey: of the mean of its channels; whole: the sample covariance of all of LL, from "
    "10 images per dimension on (in parentheses: what white noise of as many images would show)."
)


_GAUSSIANITY = (
    "How far LL itself is from Gaussian: single coefficients, and patches of 2x2 (Wasserstein)."
)


_DETAILS = (
    "Details alone, and given LL: linear, less their linear prediction from 3x3 of LL; scaled, also divided by the "
    "standard deviation predicted from there. Predictions were fitted on the other half of the images. In brackets: "
    "95 % intervals by bootstrap over images. A Gaussian has the value of the last column; larger is less Gaussian, or "
    "sparser. Explained: the share of variance that the linear prediction takes away."
)


def report_bands(conditions: dict[str, Any], rows: Sequence[LevelMeasures]) -> str:
    """Return all tables with their captions, and what the differences say, as Markdown."""
    return "\n".join(
        [
            _CONDITIONS.format(**conditions),
            "",
            "## LL",
            "",
            _WHITENING,
            "",
            *markdown_table([_whitening_row(row, conditions["images"]) for row in rows]),
            "",
            _GAUSSIANITY,
            "",
            *markdown_table([_coarse_row(row) for row in rows]),
            "",
            "## Details",
            "",
            _DETAILS,
            "",
            *markdown_table([cells for row in rows[1:] for cells in _details_rows(row)]),
            "",
            "Given LL against alone, where the interval of the difference leaves no doubt:",
            "",
            *_findings(rows[1:]),
        ]
    )


def _whitening_row(row: LevelMeasures, images: int) -> dict[str, str]:
    whole = row.covariance
    floor = "" if whole is None else f" ({condition_floor(images, row.dimension):.2f})"
    return {
        "level": str(row.level),
        "side": str(row.side),
        "d": str(row.dimension),
        "spectrum": row.spectrum.estimate.removesuffix(" spectrum"),
        "log10 kappa": f"{row.spectrum.log10_condition:.2f}",
        "KL/d": _three_digits(row.spectrum.kl),
        "KL/d unit": _three_digits(row.spectrum.kl_unit),
        "grey: log10 kappa": f"{row.grey.log10_condition:.2f}",
        "grey: KL/d unit": _three_digits(row.grey.kl_unit),
        "whole: log10 kappa": "-" if whole is None else f"{whole.log10_condition:.2f}{floor}",
        "whole: KL/d": "-" if whole is None else _three_digits(whole.kl),
        "whole: KL/d unit": "-" if whole is None else _three_digits(whole.kl_unit),
    }


def _coarse_row(row: LevelMeasures) -> dict[str, str]:
    names = ("kurtosis", "negentropy", "wasserstein")
    shown = {MEASURES[name].title: _interval(row.coarse[name]) for name in names}
    return {"level": str(row.level), **shown}


def _details_rows(row: LevelMeasures) -> list[dict[str, str]]:
    explained = "-" if row.explained is None else f"{row.explained:.3f}"
    return [
        {
            "level": str(row.level),
            "explained": explained,
            "measure": measure.title,
            **{kind: _interval(values[name]) for kind, values in row.details.items()},
            **{
                f"{kind} - marginal": _interval(values[name])
                for kind, values in row.differences.items()
            },
            "Gaussian": f"{measure.gaussian:.3g}",
        }
        for name, measure in MEASURES.items()
    ]


def _findings(rows: Sequence[LevelMeasures]) -> list[str]:
    """Say at which levels each measure is smaller or larger given LL."""
    lines = []
    for name, measure in MEASURES.items():
        for kind in rows[0].differences:
            found = [(row.level, row.differences[kind][name]) for row in rows]
            groups = {
                "smaller": [level for level, interval in found if interval.high < 0],
                "larger": [level for level, interval in found if interval.low > 0],
                "undecided": [
                    level for level, interval in found if interval.low <= 0 <= interval.high
                ],
            }
            said = "; ".join(
                f"{word} at level{'s' if len(levels) > 1 else ''} {', '.join(map(str, levels))}"
                for word, levels in groups.items()
                if levels
            )
            lines.append(f"- {measure.title}, {kind}: {said}.")
    return lines


def _interval(interval: Interval) -> str:
    value, low, high = map(_three_digits, interval)
    return f"{value} [{low}, {high}]"


def _three_digits(number: float) -> str:
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.4f}" if abs(number) < 0.1 else f"{number:.3g}"


# --- JSON and W&B ---


def write_bands(path: Path, conditions: dict[str, Any], rows: Sequence[LevelMeasures]) -> None:
    """Write all numbers as JSON."""
    content = {"conditions": conditions, "levels": [_plain(row) for row in rows]}
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return named tuples as dictionaries, and null for numbers that are not finite."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def log_to_wandb(
    project: str, conditions: dict[str, Any], rows: Sequence[LevelMeasures], figure: "Figure | None"
) -> None:
    """Log all numbers to W&B, a level at a time."""
    import wandb

    from wavelight.loggers import WandbLogger

    run = WandbLogger(project).experiment
    run.config.update({"analyze": conditions})
    run.define_metric("*", step_metric="level")
    for row in rows:
        run.log({"level": row.level, **_flat(row)})
    if figure is not None:
        run.log({"analyze": wandb.Image(figure)})
    run.finish()


def _flat(row: LevelMeasures) -> dict[str, float]:
    """Return the values of a level by names like details/linear/kurtosis."""
    flat: dict[str, float] = {}
    whitenings = {"spectrum": row.spectrum, "grey": row.grey, "covariance": row.covariance}
    for name, whitening in whitenings.items():
        flat |= {} if whitening is None else _whitening_numbers(name, whitening)
    flat |= {f"LL/{name}": interval.value for name, interval in row.coarse.items()}
    for kind, values in row.details.items():
        flat |= {f"details/{kind}/{name}": interval.value for name, interval in values.items()}
    for kind, values in row.differences.items():
        flat |= {f"difference/{kind}/{name}": each.value for name, each in values.items()}
    return flat


def _whitening_numbers(name: str, whitening: Whitening) -> dict[str, float]:
    numbers = ("log10_condition", "kl", "kl_unit")
    return {f"LL/{name}/{number}": getattr(whitening, number) for number in numbers}

"""Sampling times as a table, beside published ones."""

from pathlib import Path
from typing import Any

from wavelight.evaluation.timing import Timing
from wavelight.support.files import write_json
from wavelight.support.tables import markdown_table

_CONDITIONS = (
    "{device}, torch {torch}, {precision}, {networks} networks, {threads} threads; {warm_ups} warm-ups, then mean ± "
    "standard deviation of {repetitions} repetitions."
)


_LEGEND = (
    "Timed: steps, noise, inverse wavelet, clamp. Published: on one A100, without the start noise and the clamp.",
    "Memory: peak of the tensors on a GPU; on a CPU, peak of this process since it started.",
    "Beside networks: what is not theirs of the time from noise to bytes on the host.",
    "Network by network, for an image: NFE, evaluations; GMACs, 10^9 MACs of convolutions, linear layers and "
    "attention.",
)


def report_timing(conditions: dict[str, Any], timings: list[Timing]) -> str:
    """Return the conditions and two tables, of single images and of batches, as Markdown."""
    lines = [_CONDITIONS.format(**conditions), *_LEGEND]
    for title, chosen in (
        ("One image", [timing for timing in timings if timing.images == 1]),
        ("A batch", [timing for timing in timings if timing.images > 1]),
    ):
        if chosen:
            lines += ["", f"## {title}", "", *markdown_table([_cells(timing) for timing in chosen])]
    return "\n".join(lines)


def _cells(timing: Timing) -> dict[str, str]:
    def of_each(attribute: str, scale: float = 1) -> str:
        values = [getattr(network, attribute) / scale for network in timing.networks]
        return " + ".join(f"{value:.4g}" for value in values)

    return {
        "system": timing.system,
        "pixels": str(timing.image_size),
        "NFE": of_each("evaluations"),
        "batch": str(timing.images),
        "ms": f"{1e3 * timing.seconds:.2f} ± {1e3 * timing.deviation:.2f}",
        "s": f"{timing.seconds:.3f}",
        "published s": "" if timing.published is None else f"{timing.published:.2f}",
        "images/s": f"{timing.images / timing.seconds:.2f}",
        "memory MB": f"{timing.peak_memory / 1e6:.0f}",
        "beside networks": f"{timing.beside_networks:.1%}",
        "GMACs": of_each("macs", 1e9),
        "10^6 parameters": of_each("parameters", 1e6),
    }


def write_timings(path: Path, conditions: dict[str, Any], timings: list[Timing]) -> None:
    """Write all numbers as JSON."""
    rows = [
        timing._asdict()
        | {
            "mean": timing.seconds,
            "deviation": timing.deviation,
            "images_per_second": timing.images / timing.seconds,
            "beside_networks": timing.beside_networks,
            "published": timing.published,
            "networks": [network._asdict() for network in timing.networks],
        }
        for timing in timings
    ]
    write_json(path, {"conditions": conditions, "timings": rows})

"""The configuration of a system that only samples."""

from typing import Any

from wavelight.models.no_optimizer import NoOptimizer

_NONE = {"class_path": f"{NoOptimizer.__module__}.{NoOptimizer.__name__}"}


def is_optimizer(option: str) -> bool:
    """Return whether an option is an optimizer, by its name: ``optimizer``, ``generator_optimizer``."""
    return option.endswith("optimizer")


def without_training(model: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a system without its optimizers and its scheduler, which sampling does not need.

    A checkpoint then samples where the package of its optimizer is missing.

    Args:
        model: ``class_path`` and ``init_args``.
    """
    sampling: dict[str, Any] = _without_optimizers(model)
    options = sampling.get("init_args")
    if isinstance(options, dict) and "scheduler" in options:
        options["scheduler"] = None
    return sampling


def _without_optimizers(section: Any) -> Any:
    if isinstance(section, list):
        return [_without_optimizers(entry) for entry in section]
    if not isinstance(section, dict):
        return section
    return {
        key: _NONE if _makes_optimizer(key, value) else _without_optimizers(value)
        for key, value in section.items()
    }


def _makes_optimizer(option: object, value: Any) -> bool:
    return is_optimizer(str(option)) and isinstance(value, dict) and "class_path" in value

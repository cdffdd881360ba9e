"""Where tests find what they run."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

EXPERIMENTS = ROOT / "experiments"

TINY = ROOT / "tests" / "tiny.yaml"
"""A run of a second or two."""

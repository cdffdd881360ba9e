"""What ships: the packages, and the files that they need."""

import subprocess
import tomllib
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).resolve().parents[1]


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = find_packages(str(ROOT), include=["wavelight*", "data_modules*"])
    assert sorted(listed) == sorted([*found, "wavelight.experiments"])


def test_no_file_is_large():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.splitlines():
        assert (ROOT / name).stat().st_size < 1_000_000, name

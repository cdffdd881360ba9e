"""`make audit` passes only what the advisory service has looked at."""

import importlib.util

import pytest

from tests.places import ROOT

SPEC = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

WELL = {"name": "torch", "version": "2.15.0", "vulns": []}
FAULTY = {
    "name": "pillow",
    "version": "10.0.0",
    "vulns": [{"id": "CVE-2023-4863", "fix_versions": ["10.0.1"]}],
}
SKIPPED = {"name": "wandb", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([WELL], 0, "no known faults in 1 packages"),
        ([WELL, FAULTY], 1, "pillow 10.0.0: CVE-2023-4863, mended in 10.0.1"),
        ([WELL, SKIPPED], 2, "got nothing on 1 of 2 (wandb)"),
        ([SKIPPED, FAULTY], 1, "CVE-2023-4863"),
    ],
)
def test_verdict(packages, code, words):
    found, said = audit.verdict({"dependencies": packages})
    assert found == code
    assert words in said


def test_a_service_that_cannot_be_reached_is_one_sentence(monkeypatch, capsys):
    def run(words, **options):
        said = "" if "pip_audit" in words else "torch==2.15.0\n"
        return audit.subprocess.CompletedProcess(words, 1, said, "Traceback ...\nConnectionError")

    monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.main("python", "python") == 2
    assert capsys.readouterr().out == (
        "audit: pip-audit must reach its advisory service, got: ConnectionError\n"
    )

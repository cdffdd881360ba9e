"""Checks what is installed for published faults, by pip-audit: `make audit`.

Takes the Python whose packages are checked, and the Python that has pip-audit.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FAULTS, UNKNOWN = 1, 2


def verdict(report: dict) -> tuple[int, str]:
    """Return the exit code for pip-audit's report, and the words that say why."""
    packages = report["dependencies"]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    faults = [
        f"{each['name']} {each['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for each in packages
        for fault in each.get("vulns", [])
    ]
    if faults:
        return FAULTS, "\n".join(faults)
    if skipped:
        # pip-audit itself ends well then.
        listed = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        return UNKNOWN, (
            f"audit: the advisory service must know every package, got nothing on {len(skipped)} of {len(packages)} "
            f"({listed}): run it where PyPI's advisories can be reached"
        )
    return 0, f"audit: no known faults in {len(packages)} packages"


def main(python: str, auditing: str) -> int:
    """Audit the packages of one Python with the pip-audit of another."""
    freeze = [python, "-m", "pip", "freeze", "--exclude-editable", "--disable-pip-version-check"]
    frozen = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text(frozen)
        words = [auditing, "-m", "pip_audit", "--requirement", str(listed), "--no-deps"]
        words += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(words, capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        code, words_of_it = (
            UNKNOWN,
            f"audit: pip-audit must reach its advisory service, got: {last}",
        )
    else:
        code, words_of_it = verdict(report)
    print(words_of_it)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

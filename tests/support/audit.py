"""Known vulnerabilities of the packages in this environment, as a report: it says what it could not ask, and fails nothing.

python tests/support/audit.py

pip-audit asks PyPI's advisories, a package at a time. Where it cannot, or a mirror does not have them, it passes the package
over; so what was passed over is counted, and nothing is called sound that nobody looked at.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

PATIENCE_S = 300
OWN = "cipher-debate"


def report(found: Mapping[str, Any]) -> str:
    """Return pip-audit's answer in sentences."""
    packages = [package for package in found["dependencies"] if package["name"] != OWN]
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return f"audit: no advisories could be asked for; {len(packages)} packages were not looked at"
    lines = []
    for package in asked:
        for one in package["vulns"]:
            names = ", ".join(dict.fromkeys((one["id"], *one.get("aliases", ()))))
            mended = ", ".join(one.get("fix_versions", ())) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {names}; mended in {mended}")
    passed = len(packages) - len(asked)
    rest = f"; {passed} could not be asked about" if passed else ""
    return "\n".join([f"audit: {len(lines)} known vulnerabilities in {len(asked)} packages{rest}", *lines])


def main() -> None:
    """Print the report."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        print(report(json.loads(done.stdout)))
    except subprocess.TimeoutExpired:
        print(f"audit: the advisories did not answer within {PATIENCE_S} s; nothing was looked at")
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        print(f"audit: pip-audit gave no report, so nothing was looked at: {last}")


if __name__ == "__main__":
    main()

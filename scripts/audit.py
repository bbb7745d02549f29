"""Known vulnerabilities of the packages that are installed beside this Python, by pip-audit:

    .venv/bin/python scripts/audit.py

Exit 0: all were looked up, none is known; 1: some are known, and listed; 3: the service could not be asked
about some or any, which pip-audit itself counts as none found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

COMMAND = ("-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off", "--timeout", "5")


def main() -> None:
    done = subprocess.run(
        [sys.executable, *COMMAND, "--format", "json"], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = done.stderr.strip().splitlines() or ["no answer"]
        print(f"audit: NOT DONE: {reason[-1]}")
        sys.exit(3)
    sys.exit(report(found))


def report(dependencies: list[dict[str, Any]]) -> int:
    """Prints what was found in pip-audit's list; returns the exit code."""
    skipped = [row["name"] for row in dependencies if "skip_reason" in row]
    known = [(row, flaw) for row in dependencies for flaw in row.get("vulns", [])]
    for row, flaw in known:
        fixed = ", ".join(flaw["fix_versions"]) or "no release yet"
        print(f"audit: {row['name']} {row['version']}: {flaw['id']}, fixed in {fixed}")
    audited = len(dependencies) - len(skipped)
    print(f"audit: {audited} packages looked up, {len(known)} known vulnerabilities")
    if skipped:
        shown = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        print(f"audit: NOT DONE for {len(skipped)} packages, whose answer did not come: {shown}")
    if known:
        return 1
    return 3 if skipped or not audited else 0


if __name__ == "__main__":
    main()

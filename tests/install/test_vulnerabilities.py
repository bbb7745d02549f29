"""scripts/audit.py: what could not be looked up is not counted as sound."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.py"
SOUND = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "could not be audited"}
FLAWED = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ([SOUND], 0, "1 packages looked up, 0 known"),
        ([SOUND, FLAWED], 1, "c 2: CVE-1, fixed in 2.1"),
        ([FLAWED, SKIPPED], 1, "NOT DONE for 1 packages"),
        ([SOUND, SKIPPED], 3, "NOT DONE for 1 packages, whose answer did not come: b"),
        ([SKIPPED], 3, "0 packages looked up"),
        ([], 3, "0 packages looked up"),
    ],
)
def test_what_was_found_and_what_was_not_looked_up(
    rows: list[dict[str, Any]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runpy.run_path(str(SCRIPT))["report"](rows) == code
    assert said in capsys.readouterr().out

"""`crosstune report`: the page of a run, written again."""

from __future__ import annotations

from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import write_text
from crosstune.run import RunFolder, locked
from crosstune.run_report import run_report


def write_report(root: Path, out: Path | None) -> Path:
    """Writes the page to `out`, or in place of the run's own, and returns where.

    Raises `InputError` for what is no run folder, and what `run_report` raises.
    """
    folder = RunFolder(root)
    if not (root / ".stages").is_dir():
        raise InputError(
            f"{root}: is no run folder (.stages/ is missing); a report is of a run that crosstune run made"
        )
    if out is not None:
        write_text(out, run_report(folder))
        return out
    with locked(folder):
        write_text(folder.report, run_report(folder))
    return folder.report

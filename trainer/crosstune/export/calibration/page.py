"""`calibration.html`: how often documents of a probability are relevant, a page without network access."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.evaluate.report.calibration import calibrated_parts
from crosstune.evaluate.report.sheet import render_sheet


def render_calibration(manifest: Mapping[str, Any]) -> str:
    """The whole page as text, from the manifest's keys. It holds numbers, nothing of the user's texts."""
    page = Path(__file__).with_name("page.html")
    return render_sheet(page, "Calibration on dev", parts=calibrated_parts(manifest))

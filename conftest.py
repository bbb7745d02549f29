"""What every test gets."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, so that no test sees what another one left."""
    monkeypatch.setenv("CROSSTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"

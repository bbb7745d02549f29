"""What a stage's outcome depends on, in one word: settings, inputs and code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

NOT_OF_A_STAGE = (
    *("cli.py", "run.py", "execute.py", "unfinished.py", "whole_run.py"),
    *("sources.py", "assessment.py", "run_report.py", "benchmark.py", "benchmark_table.py", "live_parity.py"),
    *("collection_search.py", "inspection.py", "existing_model.py", "sweep.py", "search_space.py"),
    "stage_copies.py",
)
"""Modules beside the packages that change no stage's outcome: other commands', and what runs the stages."""


def fingerprint(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_version(packages: Sequence[str]) -> str:
    """A digest over the sources of these sub-packages and of the modules that all stages share."""
    import crosstune

    digest = hashlib.sha256()
    for root in sorted(crosstune.__path__):
        files = list(Path(root).glob("*.py"))
        for package in packages:
            files += (Path(root) / package).rglob("*.py")
        for path in sorted(files):
            if path.parent != Path(root) or path.name not in NOT_OF_A_STAGE:
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()

"""Rules that keep the project what it is: layout, light imports, nothing of the shared data."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "wandb", "peft", "datasets", "accelerate", "pydantic")
SERVICE = ("fastapi", "starlette", "uvicorn", "prometheus_client")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def test_crosstune_is_a_namespace_package() -> None:
    found = [root for root in ("trainer", "data_prep") if (ROOT / root / "crosstune/__init__.py").exists()]
    assert not found, "an __init__.py there would hide the other source root"


def test_the_helper_imports_nothing_heavy() -> None:
    code = (
        "import sys, crosstune.serve, crosstune.cli; "
        f"print([name for name in {HEAVY + SERVICE!r} if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_source_files_stay_small() -> None:
    sources = [path for root in ("trainer", "data_prep") for path in (ROOT / root).rglob("*.py")]
    assert len(sources) > 20
    too_long = [path.name for path in sources if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert not too_long


def test_every_loading_refuses_code_from_the_folder() -> None:
    """Without the word, transformers asks `Do you wish to run the custom code? [y/N]`."""
    loaders = ("from_pretrained", "SentenceTransformer", "CrossEncoder")
    calls = [
        (path.name, call)
        for root in ("trainer", "data_prep")
        for path in (ROOT / root).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and (getattr(call.func, "attr", None) or getattr(call.func, "id", None)) in loaders
    ]
    assert len(calls) > 10
    given = [
        {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
        for _, call in calls
    ]
    open_ones = [
        f"{name}:{call.lineno}"
        for (name, call), words in zip(calls, given, strict=True)
        if words.get("trust_remote_code") is not False
    ]
    assert not open_ones


def test_names_of_test_files_are_unique() -> None:
    """pytest imports them by their names alone, and leaves out a second one of a name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) > 20
    assert not {name for name in names if names.count(name) > 1}


def test_no_large_file_and_no_collection_is_tracked() -> None:
    large = [path.name for path in _tracked() if path.stat().st_size > 500_000]
    collections = [path.name for path in _tracked() if path.name in ("corpus.jsonl", "queries.jsonl")]
    assert not large
    assert not collections


def test_nothing_of_the_shared_data_is_copied() -> None:
    """No line of the benchmark collections, where they are at hand, stands in a tracked file."""
    shared = ROOT.parent / "shared" / "data"
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in _tracked()]
    for queries in shared.glob("*/queries.jsonl"):
        for line in queries.read_text(encoding="utf-8").splitlines()[::50]:
            assert all(line not in text for text in texts), f"{queries.parent.name}: {line[:60]}"


def test_no_path_of_a_machine_is_tracked() -> None:
    for path in _tracked():
        text = path.read_text(encoding="utf-8", errors="ignore")
        assert "/root/" + "." not in text, path
        assert "/work/" + "main" not in text, path

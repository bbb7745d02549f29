"""A run over a collection whose every file is compressed, and the commands that read such a run."""

from __future__ import annotations

from pathlib import Path

from conftest import Crosstune, pack, write_collection, write_recipe


def test_it_runs_and_is_read_as_any_other(tmp_path: Path, crosstune: Crosstune) -> None:
    collection = write_collection(tmp_path / "collection")
    recipe = write_recipe(tmp_path, collection)
    pack(collection)
    run = tmp_path / "run"
    done = crosstune("run", recipe, f"run_dir={run}")
    assert done.code == 0, done.err
    assert (run / "export" / "manifest.json").is_file()
    for words in (
        ("report", run),
        ("evaluate", run),
        ("compare", run / "retrieve" / "test.trec", run),
        ("gate", run, "--min", "nDCG@10>=0"),
    ):
        done = crosstune(*words)
        assert done.code == 0, done.err

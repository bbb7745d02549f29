"""First stages through recipes and the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.errors import InputError
from crosstune.recipe import load_recipe

MINIMAL = "name: t\ncollection: stdlib\nmodel: some/folder\n"


def _load(tmp_path: Path, *overrides: str) -> object:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL)
    return load_recipe(str(path), overrides).first_stage


def test_bm25_is_the_kind_where_none_is_given(tmp_path: Path) -> None:
    assert _load(tmp_path).kind == "bm25"  # type: ignore[attr-defined]
    assert _load(tmp_path, "first_stage.tokens=words").tokens == "words"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (
            ["first_stage.kind=dens"],
            ["first_stage.kind: found 'dens'; did you mean dense? One of: bm25, dense"],
        ),
        (["first_stage.tokes=code"], ["first_stage.tokes: unknown key; did you mean first_stage.tokens?"]),
        (["first_stage.k1=many"], ["first_stage.k1: found 'many' (str)"]),
        (["first_stage=bm25"], ["first_stage: found 'bm25' (str); keys below it were expected"]),
        (["first_stage.kind=trec"], ["first_stage.path: missing; add it to the recipe"]),
        (
            ["first_stage.kind=dense", "first_stage.modell=x", "first_stage.depth=0"],
            ["2 errors", "did you mean first_stage.model?", "first_stage.depth: found 0 (int)"],
        ),
        (
            ["first_stage.kind=hybrid", "first_stage.of=[{kind: bm25, k: 2}, {kind: trek}]"],
            [
                "first_stage.of.0.k: unknown key; did you mean first_stage.of.0.k1?",
                "first_stage.of.1.kind: found 'trek'; did you mean trec?",
            ],
        ),
        (["first_stage.kind=hybrid", "first_stage.weights=[1]"], ["weights has 1 entries, of has 2"]),
        (["first_stage.kind=hybrid", "first_stage.weights=[0, 0]"], ["not all of them 0"]),
        (["first_stage={kind: postgres, sql: SELECT 1}"], ["first_stage.sql: found", "%(depth)s"]),
    ],
)
def test_errors_name_the_full_path_and_the_nearest_key(
    tmp_path: Path, overrides: list[str], messages: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        _load(tmp_path, *overrides)
    for message in messages:
        assert message in str(caught.value)


def test_a_hybrid_by_overrides_and_a_run_file_of_it(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    # In place of the whole mapping: the recipe's own keys are of another kind.
    of = f"[{{kind: bm25}}, {{kind: dense, model: {tmp_path / 'model'}}}]"
    hybrid = crosstune("retrieve", recipe, f"first_stage={{kind: hybrid, depth: 20, of: {of}}}")
    assert hybrid.code == 0, hybrid.err
    root = tmp_path / "runs" / "tiny" / "retrieve"
    assert json.loads((root / "retrieve.json").read_text())["kind"] == "hybrid"
    kept = tmp_path / "kept"
    root.rename(kept)
    trec = f"first_stage={{kind: trec, depth: 20, path: '{kept}/{{split}}.trec'}}"
    again = crosstune("retrieve", recipe, trec)
    assert again.code == 0, again.err
    for split in ("train", "dev", "test"):
        ids = [
            [line.split()[:4] for line in (folder / f"{split}.trec").read_text().splitlines()]
            for folder in (kept, root)
        ]
        assert ids[0] == ids[1]
    changed = kept / "dev.trec"
    changed.write_text("".join(changed.read_text().splitlines(keepends=True)[:-1]))
    assert "up to date" not in crosstune("retrieve", recipe, trec).err
    assert "up to date" in crosstune("retrieve", recipe, trec).err


def test_a_query_for_a_run_file_is_refused_before_any_work(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    done = crosstune("run", recipe, "first_stage={kind: trec, path: x.trec}", "--query", "open")
    assert done.code == 2
    assert "answers the queries that it lists and no new one" in done.err
    assert not (tmp_path / "runs").exists()


def test_tuning_says_how_to_keep_what_it_found(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("retrieve", recipe, "--tune")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("to keep them")]
    words = [word for word in line.split() if word.startswith("first_stage.")]
    assert len(words) == 2
    assert "retrieve: up to date" in crosstune("retrieve", recipe, *words).err
    refused = crosstune("retrieve", recipe, "first_stage={kind: dense}", "--tune")
    assert refused.code == 2
    assert "first_stage.kind is dense" in refused.err


@pytest.mark.slow
def test_a_full_disk_under_the_cache_of_vectors(
    tmp_path: Path, small_disk: Path, recipe: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTUNE_CACHE", str(small_disk))
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 260_000)
    words = ("retrieve", recipe, f"first_stage={{kind: dense, model: {tmp_path / 'model'}, depth: 20}}")
    done = crosstune(*words)
    assert done.code == 2
    assert "No space left on device" in done.err
    assert "delete the file" not in done.err
    ballast.unlink()
    assert crosstune(*words).code == 0

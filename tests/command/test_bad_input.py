"""Bad input and faults through the real command line: one message, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from conftest import Crosstune
from transformers import AutoModelForSequenceClassification

import crosstune as crosstune_package
from commands import main_in
from crosstune.data import DenseSettings
from crosstune.data.first_stages.vector_index import VectorIndex
from crosstune.errors import CheckFailed, CrosstuneError, InputError, MissingExtra
from crosstune.records import SPLITS
from crosstune.results.runs import open_runs
from models import tiny_cross_encoder

Damage = Callable[[Path], object]


def _append(name: str, text: str) -> Damage:
    def damage(folder: Path) -> None:
        with (folder / name).open("a", encoding="utf-8") as handle:
            handle.write(text)

    return damage


def _cut(folder: Path) -> None:
    path = folder / "corpus.jsonl"
    path.write_bytes(path.read_bytes()[:-20])


def _irrelevant(split: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "qrels" / f"{split}.tsv"
        path.write_text(path.read_text().replace("\t1\n", "\t0\n"))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "corpus.jsonl").write_text(""), "corpus.jsonl: is empty"),
        (lambda folder: (folder / "corpus.jsonl").unlink(), "corpus.jsonl: no such file"),
        (_cut, "corpus.jsonl:60: not valid JSON"),
        (
            _append("corpus.jsonl", '{"_id": "x", "text": "x", "n": ' + "1" * 5000 + "}\n"),
            "corpus.jsonl:61: not valid JSON (Exceeds the limit (4300 digits)",
        ),
        (
            _append("queries.jsonl", '{"_id": "q0", "text": "x"}\n'),
            "queries.jsonl:39: id 'q0' is already on line 1",
        ),
        (_append("qrels/train.tsv", "q0\td0\tyes\n"), "train.tsv:22: grade 'yes' is not an integer"),
        (lambda folder: (folder / "qrels" / "train.tsv").unlink(), "no train split"),
        (_irrelevant("train"), "qrels/train.tsv of the collection holds no grade above 0"),
    ],
)
def test_a_damaged_collection(
    collection: Path, recipe: Path, crosstune: Crosstune, damage: Damage, message: str
) -> None:
    damage(collection)
    done = crosstune("run", recipe)
    assert done.code == 2
    assert message in done.err


def _no_split(split: str) -> Damage:
    return lambda folder: (folder / "qrels" / f"{split}.tsv").unlink()


@pytest.mark.parametrize(
    ("damage", "words", "message"),
    [
        (_no_split("train"), [], "no train split (qrels/train.tsv)"),
        (_no_split("dev"), [], "no dev split (qrels/dev.tsv); it chooses the checkpoint"),
        *((_no_split(s), [], "crosstune convert IN OUT draws what is missing") for s in SPLITS),
        (_no_split("test"), [], "no test split (qrels/test.tsv)"),
        *((_irrelevant(s), [], f"qrels/{s}.tsv of the collection holds no grade above 0") for s in SPLITS),
        (None, ["train.max_tokens=8000"], "positions, train.max_tokens is 8000; set train.max_tokens="),
        (None, ["adapt.steps=1", "adapt.max_tokens=8000"], "positions, adapt.max_tokens is 8000; set"),
        (None, ["evaluate.measures=[alpha_nDCG@10]"], "alpha_nDCG@10: no installed package computes it"),
        (None, ["curve=true", "mine.max_groups=5"], "curve: the run trains on 5 labelled queries"),
    ],
)
def test_what_a_whole_run_would_end_without_is_said_at_its_beginning(
    collection: Path,
    recipe: Path,
    crosstune: Crosstune,
    tmp_path: Path,
    damage: Damage | None,
    words: list[str],
    message: str,
) -> None:
    if damage is not None:
        damage(collection)
    done = crosstune("run", recipe, f"run_dir={tmp_path / 'run'}", *words)
    assert done.code == 2, done.err
    assert message in done.err
    assert not (tmp_path / "run" / "retrieve").exists()


def _configured(**changes: object) -> Damage:
    def damage(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda model: tiny_cross_encoder(model, vocab_size=50),
            "and the model's embedding has 50 rows; ids up to 49 were expected",
        ),
        (_configured(pad_token_id=None), "config.json: pad_token_id is missing"),
        (_configured(pad_token_id=9999), "config.json: pad_token_id is 9999, and the embedding has"),
        (_configured(pad_token_id=-1), "config.json: pad_token_id is -1, and the embedding has"),
        (lambda model: (model / "tokenizer.json").unlink(), "tokenizer.json: no such file"),
    ],
)
def test_a_base_that_cannot_read_its_tokens_is_refused_before_retrieval(
    recipe: Path, tmp_path: Path, damage: Damage, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(tmp_path / "model")
    assert main_in(tmp_path, "run", recipe, f"run_dir={tmp_path / 'run'}") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "retrieve").exists()


def test_dev_queries_whose_candidates_are_all_irrelevant(
    collection: Path, recipe: Path, crosstune: Crosstune
) -> None:
    rows = [line.split("\t") for line in (collection / "qrels/dev.tsv").read_text().splitlines()]
    dev = {row[0] for row in rows}
    queries = [json.loads(line) for line in (collection / "queries.jsonl").read_text().splitlines()]
    changed = [row | {"text": "zzz yyy"} if row["_id"] in dev else row for row in queries]
    (collection / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    done = crosstune("run", recipe)
    assert done.code == 2
    assert "no dev query has a relevant passage among its candidates" in done.err


def test_judgements_of_passages_that_are_not_there_are_left_out_everywhere(
    collection: Path, recipe: Path, crosstune: Crosstune, tmp_path: Path
) -> None:
    known = (collection / "qrels/test.tsv").read_text().splitlines()[1].split("\t")[0]
    _append("qrels/test.tsv", f"{known}\tnowhere\t1\n")(collection)
    run = tmp_path / "run"
    words = ("evaluate.measures=[nDCG@10,NumRet]", "evaluate.test_queries=6")
    done = crosstune("run", recipe, f"run_dir={run}", *words, "--json")
    assert done.code == 0, done.err
    systems = json.loads(done.out)["splits"]["test"]
    again = crosstune("evaluate", run, "-m", "nDCG@10", "-m", "NumRet", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["splits"]["test"] == {
        name: pytest.approx({measure: values[measure] for measure in ("nDCG@10", "NumRet")})
        for name, values in systems.items()
    }
    both = [str(run), str(shutil.copytree(run, tmp_path / "other"))]
    compared = open_runs(both, None, ["nDCG@10"], "refuse", None)
    assert len(compared.qrels) == 6
    assert not any("nowhere" in judged for judged in compared.qrels.values())
    # Judgements that are given say nothing of queries that the evaluation left out.
    lines = (collection / "qrels/test.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "given.tsv").write_text("".join(line for line in lines if "nowhere" not in line))
    given = crosstune("evaluate", run, "--qrels", tmp_path / "given.tsv", "-m", "nDCG@10", "--json")
    assert given.code == 0, given.err
    assert "judged queries are left out: " in given.err
    assert {name: values["nDCG@10"] for name, values in json.loads(given.out)["splits"]["test"].items()} == {
        name: pytest.approx(values["nDCG@10"]) for name, values in systems.items()
    }


def test_odd_but_usable_input_goes_through_and_is_counted(
    collection: Path, recipe: Path, crosstune: Crosstune
) -> None:
    _append("corpus.jsonl", json.dumps({"_id": "huge", "text": "file " * 220_000}) + "\n")(collection)
    _append("corpus.jsonl", '{"_id": "void", "text": ""}\n')(collection)
    _append("queries.jsonl", '{"_id": "blank", "text": ""}\n')(collection)
    _append("qrels/test.tsv", "blank\td1\t1\nq999\td1\t1\nq1\tnowhere\t1\n")(collection)
    done = crosstune("run", recipe, "--json")
    assert done.code == 0, done.err
    for count in (
        "document over 1 MB: 1",
        "empty document: 1",
        "empty query: 1",
        "test judgements of unknown query: 1",
        "test judgements of unknown document: 1",
    ):
        assert count in done.err
    # The empty query has no candidates, and q1 no judged passage; they are not dropped, they count 0.
    assert json.loads(done.out)["queries"] == 12


def test_a_first_stage_that_finds_nothing(collection: Path, recipe: Path, crosstune: Crosstune) -> None:
    rows = [json.loads(line) for line in (collection / "queries.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(row | {"text": "zzz yyy"}) + "\n" for row in rows)
    (collection / "queries.jsonl").write_text(text)
    done = crosstune("run", recipe)
    assert done.code == 2
    assert "retrieves no positive of the train split" in done.err


def test_three_kinds_of_recipe_errors_at_once(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", recipe, "train.epoch=1", "mine.negatives=many", "seed=-1")
    assert done.code == 2
    assert "3 errors in the recipe" in done.err
    assert "train.epoch: unknown key; did you mean train.epochs?" in done.err
    assert "mine.negatives: found 'many' (str)" in done.err
    assert "seed: found -1 (int)" in done.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("procedure=[a]", "procedure: found ['a']; one of "),
        (
            "first_stage={kind: plugin, name: x, options: {since: 2020-01-01}}",
            "first_stage.options: text, numbers, true, false, null, and lists and keys of these were",
        ),
    ],
)
def test_values_of_yaml_that_no_recipe_holds(
    recipe: Path, crosstune: Crosstune, word: str, message: str
) -> None:
    done = crosstune("run", recipe, word)
    assert done.code == 2
    assert message in done.err


@pytest.mark.parametrize(
    "error", [CrosstuneError("a"), InputError("b"), CheckFailed("c"), MissingExtra("what", "extra")], ids=repr
)
def test_an_error_of_another_process_is_the_same(error: CrosstuneError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.exit_code) == (type(error), str(error), error.exit_code)


def test_an_unknown_recipe_stage_and_command(recipe: Path, crosstune: Crosstune) -> None:
    assert "no such recipe" in crosstune("run", "nowhere.yaml").err
    assert (
        "bake: no such stage in this recipe; one of collection, retrieve"
        in crosstune("run", recipe, "--force", "bake").err
    )
    assert crosstune("bake").code == 2


def test_a_missing_model(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", recipe, "model=no/such/folder")
    assert done.code == 2
    assert "config.json is missing" in done.err


def test_damaged_weights(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    done = crosstune("run", recipe)
    assert done.code == 2
    assert "the model cannot be loaded" in done.err


def test_a_loss_that_is_no_number(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    model.classifier.weight.data.fill_(3e38)
    model.save_pretrained(tmp_path / "model")
    done = crosstune("run", recipe)
    assert done.code == 1
    assert "Lower train.learning_rate" in done.err
    assert not (tmp_path / "runs" / "tiny" / "train").exists()


def test_debug_shows_the_traceback(recipe: Path) -> None:
    command = [sys.executable, "-m", "crosstune.cli", "--debug", "run", str(recipe), "model=none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=recipe.parent)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_no_space_on_the_disk(small_disk: Path, recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", recipe, f"run_dir={small_disk / 'run'}")
    assert done.code == 2
    assert f"error: {small_disk / 'run'}" in done.err
    assert "No space left on device; free some there" in done.err
    assert not (small_disk / "run" / "train").exists()


def test_no_space_for_the_index_names_the_cache(
    small_disk: Path, recipe: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTUNE_CACHE", str(small_disk))
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        ballast.write(b"x" * (300 - 12) * 1024)
    done = crosstune("retrieve", recipe)
    assert done.code == 2
    assert (
        f"error: {small_disk}/bm25: No space left on device; free some there, or let CROSSTUNE_CACHE"
        in done.err
    )
    (small_disk / "ballast").unlink()
    assert not list((small_disk / "bm25").iterdir())
    assert crosstune("retrieve", recipe).code == 0


@pytest.mark.parametrize("left", [248, 40])
def test_no_space_for_a_graph_leaves_none(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """With 248 KiB it all but fits (251), so that closing the file alone would fail."""
    monkeypatch.setenv("CROSSTUNE_CACHE", str(small_disk))
    vectors = np.random.default_rng(1).normal(size=(700, 24)).astype(np.float32)
    settings = DenseSettings(exact_up_to=0, hnsw_m=32)
    (small_disk / "ballast").write_bytes(b"x" * (300 - left) * 1024)
    with pytest.raises(InputError, match=f"{small_disk}/hnsw: No space left on device; free some there"):
        VectorIndex(vectors, settings)
    assert not list((small_disk / "hnsw").iterdir())


def test_a_damaged_graph_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTUNE_CACHE", str(tmp_path))
    vectors = np.random.default_rng(1).normal(size=(100, 8)).astype(np.float32)
    VectorIndex(vectors, DenseSettings(exact_up_to=0))
    (graph,) = tmp_path.glob("hnsw/*/hnsw.faiss")
    graph.write_bytes(graph.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{graph}: the graph cannot be read .*; delete its folder"):
        VectorIndex(vectors, DenseSettings(exact_up_to=0))


def test_a_run_folder_that_cannot_be_written(small_disk: Path, recipe: Path, crosstune: Crosstune) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = crosstune("run", recipe, f"run_dir={small_disk / 'run'}")
    assert done.code == 2
    assert f"{small_disk / 'run'}: Read-only file system" in done.err


def test_a_run_folder_below_a_file(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    (tmp_path / "file").touch()
    done = crosstune("run", recipe, f"run_dir={tmp_path / 'file' / 'run'}")
    assert done.code == 2
    assert "Not a directory" in done.err


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Root reads every file until it gives its capabilities away."""


def test_a_file_that_may_not_be_read(collection: Path, recipe: Path) -> None:
    (collection / "queries.jsonl").chmod(0)
    command = [*WITHOUT_RIGHTS, sys.executable, "-m", "crosstune.cli", "run", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=recipe.parent)
    assert done.returncode == 2
    assert done.stderr.endswith("queries.jsonl: Permission denied\n")


def test_the_version_is_that_of_the_package(crosstune: Crosstune) -> None:
    told = crosstune("--version")
    assert (told.code, told.out.strip()) == (0, f"crosstune {version('crosstune')}")


def test_code_that_is_found_without_its_package(tmp_path: Path) -> None:
    """As with PYTHONPATH on a machine where the package was never installed."""
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("crosstune", "__editable__")) and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    folders = [str(site)]
    for number, code in enumerate(crosstune_package.__path__):
        folders.append(str(tmp_path / str(number)))
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "crosstune").symlink_to(code)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "crosstune.cli", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        cwd=tmp_path,
    )
    assert done.returncode == 2
    told = "error: the package crosstune is not installed, though its code may be found"
    assert done.stderr.startswith(told)


def test_a_tracker_that_is_not_installed(recipe: Path) -> None:
    code = "import sys; sys.modules['wandb'] = None; from crosstune.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "run", str(recipe), "train.report_to=[wandb]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=recipe.parent)
    assert done.returncode == 2
    assert "train.report_to: wandb needs more packages: pip install 'crosstune[wandb]'" in done.stderr


@pytest.fixture
def export(tmp_path: Path) -> Path:
    from crosstune.export import ExportSettings, export_model
    from crosstune.serve.pairs import LengthRule

    export_model(
        tmp_path / "model",
        LengthRule(48, 16),
        [("open", "a file")],
        ExportSettings(),
        {},
        tmp_path / "export",
    )
    return tmp_path / "export"


def test_rank(tmp_path: Path, recipe: Path, export: Path, crosstune: Crosstune) -> None:
    lines = ['"open the file"', '{"text": "sort the list", "id": 7}', '"close it"']
    (tmp_path / "documents.jsonl").write_text("\n".join(lines))
    from_file = crosstune("rank", export, "open", "--documents", "documents.jsonl", "--json")
    from_stdin = crosstune("rank", export, "open", "--documents", "-", "--json", stdin="\n".join(lines))
    assert from_file.code == 0, from_file.err
    assert from_file.out == from_stdin.out
    rows = json.loads(from_file.out)
    assert sorted(row["index"] for row in rows) == [0, 1, 2]
    assert [row["logit"] for row in rows] == sorted((row["logit"] for row in rows), reverse=True)
    top = crosstune("rank", export, "open", "--documents", "documents.jsonl", "--top-k", 1)
    assert len(top.out.splitlines()) == 1


def test_rank_refuses_a_damaged_export_and_bad_documents(
    tmp_path: Path, recipe: Path, export: Path, crosstune: Crosstune
) -> None:
    bad = crosstune("rank", export, "open", "--documents", "-", stdin='"fine"\n{"txt": 1}\n')
    assert bad.code == 2
    assert "-:2: a string, or an object" in bad.err
    long = crosstune("rank", export, "open", "--documents", "-", stdin="1" * 5000)
    assert long.code == 2
    assert "-:1: not valid JSON (Exceeds the limit" in long.err
    none = crosstune("rank", export, "open", "--documents", "nowhere.jsonl")
    assert none.code == 2
    assert "nowhere.jsonl: no such file" in none.err
    shutil.copy(export / "config.json", export / "onnx" / "model.onnx")
    damaged = crosstune("rank", export, "open", "--documents", "-", stdin='"fine"\n')
    assert damaged.code == 2
    assert "model.onnx: has" in damaged.err

"""TREC-CAR: what is read from its files, and a reproduction from the command line on a small one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
import pytrec_eval
from test_reproduction_run import crosstune, stage_fingerprints

from car_data import OUTLINES, PARAGRAPHS, QRELS, page, paragraph, topic, write_cbor, write_treccar
from crosstune.data import TrecCar, TrecCarFiles
from crosstune.data.treccar_files import read_paragraphs, read_topics, topic_text
from crosstune.errors import InputError
from crosstune.recipe import load_recipe
from crosstune.trec import read_qrels, read_run
from models import tiny_cross_encoder


@pytest.fixture
def car(tmp_path: Path) -> Path:
    write_treccar(tmp_path / "car")
    return tmp_path / "car"


def _opened(folder: Path) -> TrecCar:
    data = TrecCar(TrecCarFiles(folder=str(folder)), folder, folder / "made")
    data.check()
    return data


def test_paragraphs_join_texts_and_anchors_by_spaces(tmp_path: Path) -> None:
    path = tmp_path / "p.cbor"
    bodies = [[0, "The file "], [1, [0, "A page", ["section"], b"enwiki:A%20page", "Größe"]], [0, ""]]
    write_cbor(path, 2, [[0, b"ab", bodies], [0, b"cd", []]])
    found = list(read_paragraphs(path))
    assert [(row.doc_id, row.text) for row in found] == [("ab", "The file  Größe "), ("cd", "")]
    for row in found:
        assert cbor2.loads(path.read_bytes()[row.byte :])[1].decode() == row.doc_id


def test_version_1_5_has_the_items_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.cbor"
    path.write_bytes(b"".join(cbor2.dumps(paragraph(n, ["a", "b", "c", "d"])[1]) for n in range(3)))
    assert [row.text for row in read_paragraphs(path)] == ["a b c d"] * 3


def test_topics_are_the_headings_with_those_above(tmp_path: Path) -> None:
    path = tmp_path / "o.cbor"
    write_cbor(path, 1, [page("Two words", {"A": ["x y", "z"], "B": []}), page("None", {})])
    found = [row.query_id for row in read_topics(path)]
    base = "enwiki:Two%20words"
    assert found == [f"{base}/A", f"{base}/A/x%20y", f"{base}/A/z", f"{base}/B"]
    assert [topic_text(name) for name in found[:2]] == ["Two words A", "Two words A x y"]
    assert topic_text("enwiki:Caf%C3%A9/It%27s") == "Caf%C3%A9 It%27s", "as the original: no other escapes"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-1], "breaks off after .* bytes, before the end of its list"),
        (lambda raw: raw[:-30], r"byte \d+: is no CBOR from here on"),
        (lambda raw: b"", r"byte 0: is no CBOR"),
        (lambda raw: raw.replace(b"\x9f", b"\x80", 1), "the list of paragraphs was expected"),
        (lambda raw: raw.replace(cbor2.dumps([2]), cbor2.dumps([1]), 1), "is a file of outlines, paragraphs"),
        (
            lambda raw: raw.replace(b"\x83\x00\x58\x28", b"\x83\x07\x58\x28", 1),
            "a paragraph begins with 0, found 7",
        ),
        (lambda raw: raw.replace(b"\x83\x00\x58\x28", b"\x83\x00\x78\x28", 1), "not of TREC-CAR's format"),
    ],
    ids=["no end", "cut", "empty", "no list", "outlines", "tag", "id is text"],
)
def test_damaged_paragraphs_are_named_with_their_byte(car: Path, change: object, message: str) -> None:
    path = car / PARAGRAPHS
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match=f"{path.name}.*{message}"):
        list(read_paragraphs(path))


def test_training_pairs_are_bm25s_first_and_the_folds_decide(car: Path, tmp_path: Path) -> None:
    texts = write_treccar(tmp_path / "car")
    examples = list(_opened(car).examples())
    lines = [line.split() for line in (car / "train.run").read_text().splitlines()]
    wanted = [line for line in lines if int(line[3]) <= 10]
    assert len(examples) == 4 * 5 * 10 == len(wanted)
    relevant = {
        (q, d)
        for n in range(4)
        for q, _, d, _ in (line.split() for line in (car / QRELS[f"fold-{n}"]).read_text().splitlines())
    }
    for example, (query, _, doc_id, *_) in zip(examples, wanted, strict=True):
        assert (example.query, example.passage) == (topic_text(query), texts[doc_id])
        assert example.label == ((query, doc_id) in relevant)
    assert 0 < sum(example.label for example in examples) < 20, "what BM25 missed is not added"


def test_dev_is_the_first_topics_of_fold_4(car: Path) -> None:
    data = TrecCar(TrecCarFiles(folder=str(car), dev_queries=2, dev_depth=3), car, car / "made")
    data.check()
    dev, test = data.lists()
    assert (dev.split, list(dev.qrels), dev.count()) == ("dev", list(read_run(car / "dev.run"))[:2], 6)
    assert (test.split, test.qrels, test.count()) == ("test", read_qrels(car / QRELS["test"]), 100)
    assert test.first_stage() == read_run(car / "test.run")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("test.run", lambda text: text.replace(" 1 99 ", " 1 high ", 1), r"test\.run:1: score 'high'"),
        ("test.run", lambda text: "", r"test\.run: is empty"),
        ("dev.run", lambda text: text.replace("fold-4", "fold-9"), r"dev\.run: no topic of it is judged"),
        (
            "train.run",
            lambda text: text + text.splitlines()[0] + "\n",
            r"train\.run:401: topic .* comes back",
        ),
        ("train.run", lambda text: text.replace(text.split()[2], "0" * 40), r"train\.run:1: paragraph '0000"),
        (QRELS["fold-2"], lambda text: text.replace(" 0 ", " ", 1), r"fold-2-base.*:2: found 4 columns"),
    ],
    ids=["score", "empty", "other fold", "apart", "no paragraph", "qrels"],
)
def test_what_does_not_fit_together_is_named(car: Path, file: str, change: object, message: str) -> None:
    path = car / file
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        list(_opened(car).examples())


LATE: dict[str, tuple[Callable[[list[str]], str], str]] = {
    "score": (lambda words: " ".join([*words[:4], "high", words[5]]), r"run:17: score 'high'"),
    "columns": (lambda words: " ".join(words[:5]), r"run:17: found 5 columns"),
    "no paragraph": (lambda words: " ".join([*words[:2], "0" * 40, *words[3:]]), r"run:17: paragraph '0000"),
}


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize(("change", "message"), LATE.values(), ids=LATE)
def test_the_check_reads_the_runs_of_evaluation_to_their_last_candidate(
    car: Path, split: str, change: Callable[[list[str]], str], message: str
) -> None:
    path = car / f"{split}.run"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:16], change(lines[16].split()), *lines[17:]]) + "\n")
    data = TrecCar(TrecCarFiles(folder=str(car), dev_depth=20), car, car / "made")
    with pytest.raises(InputError, match=f"{split}\\.{message}"):
        data.check()


def test_a_paragraph_that_a_topic_lists_twice_is_refused_with_both_lines(car: Path) -> None:
    path = car / "test.run"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:27], lines[23], *lines[28:]]) + "\n")
    found = r"test\.run:28: paragraph \w{40} is listed twice for topic enwiki:test.*, first on line 24; .*awk"
    with pytest.raises(InputError, match=found):
        _opened(car)


def test_a_paragraph_that_a_training_topic_lists_twice_does_not_stop_a_training(car: Path) -> None:
    lines = (car / "train.run").read_text().splitlines()
    (car / "train.run").write_text("\n".join([*lines[:7], lines[3], *lines[8:]]) + "\n")
    examples = list(_opened(car).examples())
    assert (len(examples), examples[7]) == (200, examples[3])


@pytest.mark.parametrize("file", [PARAGRAPHS, *QRELS.values(), "train.run", "dev.run", "test.run"])
def test_training_depends_on_its_own_files_alone(car: Path, tmp_path: Path, file: str) -> None:
    base = tiny_cross_encoder(tmp_path / "base")
    words = (f"data.folder={car}", f"model={base}")
    before = stage_fingerprints("nogueira_cho/treccar_base", *words)
    os.utime(car / file)
    after = stage_fingerprints("nogueira_cho/treccar_base", *words)
    training = {PARAGRAPHS, "train.run", *(QRELS[f"fold-{n}"] for n in range(4))}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"collection", "evaluate", "export"} | ({"train"} if file in training else set())


def test_the_depth_of_the_training_run_is_trainings_alone(car: Path, tmp_path: Path) -> None:
    words = (f"data.folder={car}", f"model={tiny_cross_encoder(tmp_path / 'base')}")
    before = stage_fingerprints("nogueira_cho/treccar_base", *words)
    for word, retrained in (("data.train_depth=5", True), ("data.test_depth=5", False)):
        after = stage_fingerprints("nogueira_cho/treccar_base", *words, word)
        assert (before["train"] != after["train"]) is retrained
        assert before["evaluate"] != after["evaluate"]


def test_a_paragraph_that_comes_twice_is_refused(tmp_path: Path) -> None:
    write_treccar(tmp_path)
    item = paragraph(1, ["a", "b", "c"])[1]
    write_cbor(tmp_path / PARAGRAPHS, 2, [item, item])
    with pytest.raises(InputError, match=f"the id {item[1].decode()} stands for two paragraphs"):
        _opened(tmp_path)


@pytest.mark.parametrize("size", ["base", "large"])
def test_the_recipes_hold_the_papers_settings(size: str) -> None:
    recipe = load_recipe(f"nogueira_cho/treccar_{size}")
    train, data = recipe.train.model_dump(), recipe.data.model_dump()
    assert (train["batch_pairs"], train["steps"], train["warmup_steps"]) == (32, 400_000, 40_000)
    assert (train["learning_rate"], train["epsilon"], train["weight_decay"]) == (1e-6, 1e-6, 0.01)
    assert (data["train_depth"], data["dev_depth"], data["test_depth"]) == (10, 10, 1000)
    assert data["train_qrels"] == [QRELS[f"fold-{n}"] for n in range(4)]
    assert (data["dev_qrels"], data["test_qrels"]) == (QRELS["fold-4"], QRELS["test"])


@pytest.mark.slow
def test_a_recipe_runs_and_its_map_is_trec_evals(car: Path, tmp_path: Path) -> None:
    base = f"tf:{Path(__file__).parent / 'tf_checkpoints' / 'pretrained'}"
    with (car / QRELS["test"]).open("a") as handle:
        handle.write(f"{topic('No', 'result')} 0 {'0' * 40} 1\n")
    small = ["max_tokens=48", "max_query_tokens=16", "batch_pairs=8", "steps=4", "warmup_steps=1"]
    done = crosstune(
        *("run", "nogueira_cho/treccar_base", "run_dir=out", f"data.folder={car}", f"model={base}"),
        *(f"train.{setting}" for setting in small),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "dev, 5 queries" in done.stdout
    assert "test, 6 queries" in done.stdout
    assert "published AP: 0.3100 (tolerance 0.0100): NOT reproduced" in done.stdout
    splits = json.loads((tmp_path / "out/evaluate/metrics.json").read_text())["splits"]
    qrels = read_qrels(car / QRELS["test"])
    for system, run in (
        ("first_stage", car / "test.run"),
        ("tuned", tmp_path / "out/evaluate/test.tuned.trec"),
    ):
        values = pytrec_eval.RelevanceEvaluator(qrels, {"map", "recip_rank"}).evaluate(read_run(run))
        for measure, name in (("AP", "map"), ("RR", "recip_rank")):
            expected = sum(row[name] for row in values.values()) / len(qrels)
            assert splits["test"][system][measure] == pytest.approx(expected, abs=1e-6)
    assert splits["test"]["ceiling"]["AP"] == pytest.approx(5 / 6)
    again = crosstune(
        *("run", "nogueira_cho/treccar_base", "run_dir=out", f"data.folder={car}", f"model={base}"),
        *(f"train.{setting}" for setting in small),
        cwd=tmp_path,
    )
    assert again.stderr.count("skipped, up to date") == 4


def test_outlines_are_there_beside_the_paragraphs(car: Path) -> None:
    assert {row.query_id for row in read_topics(car / OUTLINES)} >= set(read_qrels(car / QRELS["test"]))

"""`crosstune convert` through the real command line: round trips, formats, and bad input."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune

from car_data import OUTLINES, QRELS, write_treccar
from crosstune.data import read_collection, read_groups
from crosstune.data.treccar_files import topic_text
from crosstune.errors import InputError
from crosstune.files import staged_folder
from crosstune.trec import read_qrels, read_run

ROWS: list[dict[str, Any]] = [
    {
        "query": f"how to use tool {name}",
        "positive": f"the tool {name} is used with both hands",
        "negative": f"no {name}",
    }
    for name in "hammer saw chisel plane drill level clamp file rasp square".split()  # noqa: SIM905
]


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def beir(folder: Path) -> Path:
    jsonl(folder / "corpus.jsonl", [
        {"_id": "007", "title": "Ünï", "text": "  a \u2028 b\t", "url": "x"},
        {"_id": "ïd-é", "title": "", "text": 'a "quoted" text'},
        {"_id": "10", "title": "", "text": ""},
    ])  # fmt: skip
    jsonl(folder / "queries.jsonl", [{"_id": "01", "text": "first"}, {"_id": "è", "text": "second"}])
    (folder / "qrels").mkdir()
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(f"{header}01\t007\t3\n01\tïd-é\t0\n", encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(f"{header}è\tïd-é\t1\nè\t10\t-1\n", encoding="utf-8")
    return folder


def test_a_beir_folder_comes_back_with_its_ids_grades_and_bytes(tmp_path: Path, crosstune: Crosstune) -> None:
    source = beir(tmp_path / "in")
    done = crosstune("convert", "in", "out", "--json")
    assert done.code == 0, done.err
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes(), name
    assert json.loads(done.out)["met"] == {"empty passages": 1, "grades below 0": 1}
    assert json.loads((tmp_path / "out" / "collection.json").read_text())["schema"] == 1


def test_groups_keep_ids_grades_and_texts_and_go_back(tmp_path: Path, crosstune: Crosstune) -> None:
    beir(tmp_path / "in")
    assert crosstune("convert", "in", "groups", "--to", "groups").code == 0
    (group,) = read_groups(tmp_path / "groups")
    assert (group.query_id, group.doc_ids, group.labels) == ("01", ["007", "ïd-é"], [3, 0])
    assert group.docs == ["Ünï   a \u2028 b\t", 'a "quoted" text']
    assert group.teacher_scores == [None, None]
    assert crosstune("convert", "groups", "back").code == 0
    back = read_collection(tmp_path / "back")
    assert back.qrels == {"train": {"01": {"007": 3, "ïd-é": 0}}, "test": {"è": {"ïd-é": 1, "10": -1}}}


FORMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "pairs": lambda row: row,
    "lists": lambda row: {
        "query": row["query"],
        "docs": [row["negative"], row["positive"]],
        "labels": [0, 1],
    },
    "cohere": lambda row: {
        "query": row["query"],
        "relevant_passages": [row["positive"]],
        "hard_negatives": [row["negative"]],
    },
    "flagembedding": lambda row: {
        "query": row["query"],
        "pos": [row["positive"]],
        "neg": [row["negative"]],
        "pos_scores": [0.9],
        "neg_scores": [0.1],
    },
    "sentence-transformers": lambda row: {
        "anchor": row["query"],
        "positive": row["positive"],
        "negative_1": row["negative"],
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_training_files_of_other_tools_give_the_same_collection(
    tmp_path: Path, crosstune: Crosstune, name: str
) -> None:
    jsonl(tmp_path / "rows.jsonl", [FORMS[name](row) for row in ROWS])
    done = crosstune("convert", "rows.jsonl", "out", "--dev", 0.2, "--test", 0.2)
    assert done.code == 0, done.err
    assert f"format  {name}" in done.err
    assert "the input has no ids for 20 passages: each is named by a hash of its text" in done.err
    collection = read_collection(tmp_path / "out")
    found = {
        (collection.queries[q], collection.passages[d], grade)
        for qrels in collection.qrels.values()
        for q, judged in qrels.items()
        for d, grade in judged.items()
    }
    assert found == {
        (r["query"], r[field], grade) for r in ROWS for field, grade in (("positive", 1), ("negative", 0))
    }
    assert {split: len(qrels) for split, qrels in collection.qrels.items()} == {
        "train": 6,
        "dev": 2,
        "test": 2,
    }
    assert (
        crosstune("convert", "rows.jsonl", "groups", "--to", "groups", "--dev", 0.2, "--test", 0.2).code == 0
    )
    groups = read_groups(tmp_path / "groups")
    assert {group.query_id for group in groups} == set(collection.qrels["train"])
    assert all(group.labels == [1, 0] for group in groups)
    if name == "flagembedding":
        assert groups[0].teacher_scores == [0.9, 0.1]


def test_rows_without_negatives_are_a_collection_and_no_groups(tmp_path: Path, crosstune: Crosstune) -> None:
    jsonl(tmp_path / "rows.jsonl", [{"query": row["query"], "pos": [row["positive"]]} for row in ROWS])
    assert crosstune("convert", "rows.jsonl", "out").code == 0
    done = crosstune("convert", "rows.jsonl", "groups", "--to", "groups")
    assert done.code == 2
    assert "no positive has a judged negative" in done.err
    assert not (tmp_path / "groups").exists()


def test_a_folder_with_splits_keeps_them(tmp_path: Path, crosstune: Crosstune) -> None:
    jsonl(tmp_path / "in" / "train.jsonl", ROWS[:7])
    jsonl(tmp_path / "in" / "validation.jsonl", ROWS[7:])
    assert crosstune("convert", "in", "out", "--test", 0).code == 0
    qrels = read_collection(tmp_path / "out").qrels
    assert {split: len(judged) for split, judged in qrels.items()} == {"train": 7, "dev": 3}
    drawn = crosstune("convert", "in", "with_test")
    assert "splits kept as the input has them; test, which it has not, drawn by query" in drawn.err
    qrels = read_collection(tmp_path / "with_test").qrels
    assert {split: len(judged) for split, judged in qrels.items()} == {"train": 6, "dev": 3, "test": 1}


def test_held_out_rows_never_get_among_the_others(tmp_path: Path, crosstune: Crosstune) -> None:
    """The split may be the folder's name; a file of no split beside one of a split is refused."""
    for split, rows in (("train", ROWS[:7]), ("test", ROWS[7:])):
        jsonl(tmp_path / "in" / split / "0000.jsonl", rows)
    done = crosstune("convert", "in", "out", "--dev", 0)
    assert done.code == 0, done.err
    qrels = read_collection(tmp_path / "out").qrels
    assert {split: len(judged) for split, judged in qrels.items()} == {"train": 7, "test": 3}

    whole = msmarco(tmp_path / "msmarco")
    (whole / "qidpidtriples.train.full.tsv.gz").unlink()
    for split, name in (("train", "train"), ("test", "dev.small")):
        (whole / split).mkdir()
        (whole / f"qrels.{name}.tsv").rename(whole / split / "qrels.tsv")
    done = crosstune("convert", whole, "judged")
    assert done.code == 0, done.err
    qrels = read_collection(tmp_path / "judged").qrels
    assert qrels == {"train": {"01": {"007": 1}}, "test": {"02": {"1": 1}}}

    jsonl(tmp_path / "mixed" / "faq.jsonl", ROWS[:7])
    jsonl(tmp_path / "mixed" / "faq_test.jsonl", ROWS[7:])
    mixed = crosstune("convert", "mixed", "again")
    assert mixed.code == 2
    assert "mixed/faq.jsonl: belongs to no split, others here are named after theirs" in mixed.err


def test_no_positive_of_a_row_is_lost_or_written_as_a_negative(tmp_path: Path, crosstune: Crosstune) -> None:
    """`b` is relevant by the second list; the last row has a positive alone, of a query with a negative."""
    jsonl(
        tmp_path / "rows.jsonl",
        [
            {"query_id": "q", "query": "reset", "docs": ["a", "b"], "labels": [1, 0]},
            {"query_id": "q", "query": "reset", "docs": ["b", "c"], "labels": [1, 0]},
        ],
    )
    words = ("--to", "groups", "--dev", 0, "--test", 0)
    done = crosstune("convert", "rows.jsonl", "lists", *words)
    assert done.code == 0, done.err
    groups = [dict(zip(g.docs, g.labels, strict=True)) for g in read_groups(tmp_path / "lists")]
    assert groups == [{"b": 1, "c": 0}, {"a": 1, "c": 0}]

    jsonl(
        tmp_path / "pairs.jsonl",
        [{"query": "reset", "positive": "a", "negative": "n"}, {"query": "reset", "positive": "b"}],
    )
    assert crosstune("convert", "pairs.jsonl", "groups", *words).code == 0
    groups = [dict(zip(g.docs, g.labels, strict=True)) for g in read_groups(tmp_path / "groups")]
    assert groups == [{"a": 1, "n": 0}, {"b": 1, "n": 0}]

    more = [{"query": "close", "pos": ["a"]}, {"query": "open", "pos": ["a"], "neg": ["n"]}]
    jsonl(tmp_path / "mixed.jsonl", more)
    done = crosstune("convert", "mixed.jsonl", "mixed", *words)
    assert done.code == 0, done.err
    assert "left out: without a negative 1" in done.err, "counted once"


def msmarco(folder: Path) -> Path:
    folder.mkdir()
    (folder / "collection.tsv").write_text('007\ta "quote inside\n1\tsecond\n2\tthird\n')
    (folder / "queries.train.tsv").write_text("01\tfirst query\n")
    (folder / "queries.dev.small.tsv").write_text("02\tsecond query\n")
    (folder / "qrels.train.tsv").write_text("01\t0\t007\t1\n")
    (folder / "qrels.dev.small.tsv").write_text("02\t0\t1\t1\n")
    with gzip.open(folder / "qidpidtriples.train.full.tsv.gz", "wt") as handle:
        handle.write("01\t007\t2\n01\t007\t1\n")
    (folder / "top1000.dev.tsv").write_text("02\t2\tsecond query\tthird\n02\t1\tsecond query\tsecond\n")
    return folder


def test_msmarco_files(tmp_path: Path, crosstune: Crosstune) -> None:
    msmarco(tmp_path / "in")
    done = crosstune("convert", "in", "out")
    assert done.code == 0, done.err
    collection = read_collection(tmp_path / "out")
    assert collection.passages == {"007": 'a "quote inside', "1": "second", "2": "third"}
    assert collection.qrels == {"train": {"01": {"007": 1}}, "dev": {"02": {"1": 1}}}
    run = (tmp_path / "out" / "candidates" / "dev.trec").read_text().splitlines()
    assert [line.split()[2] for line in run] == ["2", "1"]
    assert "id triples beside qrels (for groups only) 2" in done.err
    assert crosstune("convert", "in", "groups", "--to", "groups").code == 0
    assert [group.doc_ids for group in read_groups(tmp_path / "groups")] == [["007", "2"], ["007", "1"]]


def test_triples_of_texts(tmp_path: Path, crosstune: Crosstune) -> None:
    lines = [f"{row['query']}\t{row['positive']}\t{row['negative']}\n" for row in ROWS]
    (tmp_path / "triples.train.small.tsv").write_text("".join(lines))
    done = crosstune(
        "convert", "triples.train.small.tsv", "groups", "--to", "groups", "--dev", 0, "--test", 0
    )
    assert done.code == 0, done.err
    groups = read_groups(tmp_path / "groups")
    assert [[g.query, *g.docs] for g in groups] == [[r["query"], r["positive"], r["negative"]] for r in ROWS]


def _triples(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{row['query']}\t{row['positive']}\t{row['negative']}\n" for row in rows)


def test_triples_named_after_splits_keep_them(tmp_path: Path, crosstune: Crosstune) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "triples.train.tsv").write_text(_triples(ROWS[:6]))
    (folder / "triples.dev.tsv").write_text(_triples(ROWS[6:8]))
    done = crosstune("convert", "in", "out", "--dev", 0, "--test", 0)
    assert done.code == 0, done.err
    assert "splits kept as the input has them" in done.err
    collection = read_collection(tmp_path / "out")
    queries = {split: {collection.queries[q] for q in judged} for split, judged in collection.qrels.items()}
    assert queries == {"train": {r["query"] for r in ROWS[:6]}, "dev": {r["query"] for r in ROWS[6:8]}}
    (folder / "triples.tsv").write_text(_triples(ROWS[8:]))
    mixed = crosstune("convert", "in", "again")
    assert mixed.code == 2
    assert "in/triples.tsv: belongs to no split, others here are named after theirs" in mixed.err


def test_a_header_of_tab_separated_files_is_no_record_and_said(tmp_path: Path, crosstune: Crosstune) -> None:
    (tmp_path / "triples.tsv").write_text("query\tpositive_passage\tNegative\n" + _triples(ROWS))
    done = crosstune("convert", "triples.tsv", "out")
    assert done.code == 0, done.err
    assert "triples.tsv:1: a header (query, positive_passage, Negative), not read as a record" in done.err
    assert set(read_collection(tmp_path / "out").queries.values()) == {row["query"] for row in ROWS}
    (tmp_path / "triples.tsv").write_text("query text\tpositive test\tnegative test\n" + _triples(ROWS))
    assert " 11 queries" in crosstune("convert", "triples.tsv", "plain").err, "words of a text are a text"
    folder = msmarco(tmp_path / "in")
    for name, header in (("collection.tsv", "pid\tpassage\n"), ("queries.train.tsv", "query-id\ttext\n")):
        (folder / name).write_text(header + (folder / name).read_text())
    done = crosstune("convert", "in", "out2")
    assert done.code == 0, done.err
    assert "collection.tsv:1: a header (pid, passage), not read" in done.err
    assert "queries.train.tsv:1: a header (query-id, text), not read" in done.err
    assert set(read_collection(tmp_path / "out2").passages) == {"007", "1", "2"}
    assert set(read_collection(tmp_path / "out2").queries) == {"01", "02"}


def test_qrels_that_pandas_wrote(tmp_path: Path, crosstune: Crosstune) -> None:
    folder = beir(tmp_path / "in")
    (folder / "qrels/train.tsv").write_text("query_id\tcorpus_id\tscore\n01\t007\t3.0\n", encoding="utf-8")
    done = crosstune("convert", "in", "out")
    assert done.code == 0, done.err
    assert "train.tsv:1: a header (query_id, corpus_id, score), not read as a judgement" in done.err
    assert "test.tsv:1: a header" not in done.err
    assert read_collection(tmp_path / "out").qrels["train"] == {"01": {"007": 3}}


def test_judgements_of_one_name_a_split(tmp_path: Path, crosstune: Crosstune) -> None:
    """As a recipe reads the folder where it is."""
    qrels = beir(tmp_path / "in") / "qrels"
    (qrels / "train.tsv").rename(qrels / "validation.tsv")
    (qrels / "all.tsv").write_text("no judgements")
    assert "all.tsv: the name says no split" in crosstune("convert", "in", "out").err
    (qrels / "train.tsv").write_text("01\t10\t1\n")
    done = crosstune("convert", "in", "out")
    assert done.code == 0, done.err
    assert "note: file not read: in/qrels/all.tsv" in done.err
    assert read_collection(tmp_path / "out").qrels["dev"] == {"01": {"007": 3, "ïd-é": 0}}
    (qrels / "dev.tsv").write_text("01\t10\t1\n")
    assert "validation.tsv: is of dev, and so is dev.tsv" in crosstune("convert", "in", "again").err


def test_candidates_without_a_text_are_counted(tmp_path: Path, crosstune: Crosstune) -> None:
    _trec_with(JUDGED, a="301 Q0 D2 1 2 x\n301 Q0 X1 2 1 x\n", b="302 Q0 D1 1 2 x\n303 Q0 D1 1 2 x\n")(
        tmp_path / "in"
    )
    done = crosstune("convert", "in", "out", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["met"] == {
        "candidates that name none of the queries (kept)": 1,
        "candidates that name none of the passages (kept)": 1,
    }


def test_a_split_of_another_name_is_refused_and_the_advice_works(
    tmp_path: Path, crosstune: Crosstune
) -> None:
    from datasets import Dataset, DatasetDict, load_from_disk

    parts = DatasetDict({"train": Dataset.from_list(ROWS[:8]), "holdout": Dataset.from_list(ROWS[8:])})
    parts.save_to_disk(tmp_path / "in")
    done = crosstune("convert", "in", "out")
    assert done.code == 2
    assert "in: the split 'holdout' is none of train, dev and test; rename it (data['test'] =" in done.err
    data = load_from_disk(tmp_path / "in")
    data["test"] = data.pop("holdout")
    data.save_to_disk(tmp_path / "renamed")
    assert crosstune("convert", "renamed", "out").code == 0
    assert len(read_collection(tmp_path / "out").qrels["test"]) == 2


def test_a_column_map_that_does_not_fit_is_answered_in_sentences(
    tmp_path: Path, crosstune: Crosstune
) -> None:
    jsonl(tmp_path / "rows.jsonl", ROWS)
    wrong = crosstune("convert", "rows.jsonl", "out", "--column", "nope=query")
    assert wrong.code == 2
    assert "column map: 'nope' is no role. Roles: query, " in wrong.err
    wrong = crosstune("convert", "rows.jsonl", "out", "--column", "query=x", "--column", "positive=positive")
    assert wrong.code == 2
    assert "no column 'x' (given for query). There are: query, positive, negative" in wrong.err


@pytest.mark.parametrize("where", ["out", "scratch"])
def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path,
    small_disk: Path,
    crosstune: Crosstune,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """The database outgrows its memory of 64 MB before it is written; a folder is written from it after."""
    rows = [{"query": f"{n} {n}", "positive": f"p {n}" + "x" * 9_000} for n in range(9_000)]
    jsonl(tmp_path / "rows.jsonl", rows[:60] if where == "out" else rows)
    monkeypatch.setenv("TMPDIR", str(small_disk))
    out = ("--dry-run",) if where == "scratch" else ()
    done = crosstune("convert", "rows.jsonl", small_disk / "out", "--dev", 0, "--test", 0, *out)
    assert done.code == 2
    assert f"error: {small_disk}/" in done.err
    assert "No space left on device; free some there, or have it written elsewhere" in done.err
    assert not list(small_disk.iterdir())


def test_trec_car(tmp_path: Path, crosstune: Crosstune) -> None:
    texts = write_treccar(tmp_path / "in")
    for rest in ("train", "train.run", "dev.run"):
        path = tmp_path / "in" / rest
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = crosstune("convert", "in", "out", "--test", 0)
    assert done.code == 0, done.err
    collection = read_collection(tmp_path / "out")
    assert collection.passages == texts
    judged = read_qrels(tmp_path / "in" / QRELS["test"])
    assert collection.qrels == {"test": judged}
    assert {q: text for q, text in collection.queries.items() if q in judged} == {
        q: topic_text(q) for q in judged
    }
    assert len(collection.queries) == 2 * len(judged), "headings below the judged ones are queries too"
    assert read_run(tmp_path / "out/candidates/test.trec") == read_run(tmp_path / "in/test.run")
    (tmp_path / "in" / OUTLINES).write_bytes(b"no outlines")
    broken = crosstune("convert", "in", "again")
    assert (broken.code, (tmp_path / "again").exists()) == (2, False)
    assert f"{Path(OUTLINES).name}:byte 0" in broken.err


@pytest.mark.parametrize(
    "topics",
    [
        "<top>\n<num> Number: 301\n<title> two words\n<desc> Description:\nlong\n</top>\n",
        '<topics><topic number="301"><query>two &#119;ords</query><question>long</question></topic></topics>',
        "301\ttwo words\n",
    ],
)
def test_trec_topics_qrels_and_run(tmp_path: Path, crosstune: Crosstune, topics: str) -> None:
    folder = tmp_path / "in"
    jsonl(folder / "corpus.jsonl", [{"_id": "D-1", "text": "one"}, {"_id": "D-2", "text": "two"}])
    (folder / "topics.test.txt").write_text(topics)
    (folder / "qrels.test.txt").write_text("301 0 D-1 2\n301 0 D-2 -1\n")
    (folder / "bm25.run").write_text("301 Q0 D-2 1 7.5 x\n301 Q0 D-1 2 3.25 x\n")
    done = crosstune("convert", "in", "out")
    assert done.code == 0, done.err
    collection = read_collection(tmp_path / "out")
    assert collection.queries == {"301": "two words"}
    assert collection.qrels == {"test": {"301": {"D-1": 2, "D-2": -1}}}
    assert (
        (tmp_path / "out" / "candidates" / "test.trec")
        .read_text()
        .splitlines()[0]
        .startswith("301 Q0 D-2 1 7.5")
    )


def test_whole_grades_of_a_float_column_are_grades(tmp_path: Path, crosstune: Crosstune) -> None:
    """pandas writes 1 as 1.0 where the column has gaps elsewhere."""
    rows = "".join(
        f"q{n},query {n},p{m},text {m},{1.0 if n == m else 0.0}\n" for n in range(9) for m in range(9)
    )
    (tmp_path / "rows.csv").write_text(f"query_id,query,passage_id,passage,label\n{rows}")
    done = crosstune("convert", tmp_path / "rows.csv", tmp_path / "out")
    assert done.code == 0, done.err
    judged = [
        line for path in (tmp_path / "out/qrels").glob("*.tsv") for line in path.read_text().splitlines()
    ]
    assert {f"q{n}\tp{n}\t1" for n in range(9)} <= {*judged}
    (tmp_path / "rows.csv").write_text("query_id,query,passage_id,passage,label\nq,a,p,b,0.5\n")
    refused = crosstune("convert", tmp_path / "rows.csv", tmp_path / "other")
    assert (refused.code, "rows.csv:2" in refused.err, "0.5" in refused.err) == (2, True, True)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_columns_by_name(tmp_path: Path, crosstune: Crosstune, suffix: str) -> None:
    rows = [
        {"id": f"00{n}", "answer": row["positive"], "question": row["query"]} for n, row in enumerate(ROWS)
    ]
    path = tmp_path / f"data{suffix}"
    if suffix == ".csv":
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["id", "answer", "question"])
            writer.writeheader()
            writer.writerows(rows)
    elif suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    columns = ("--column", "query=question", "--column", "positive=answer", "--column", "query_id=id")
    done = crosstune("convert", path.name, "out", *columns)
    assert done.code == 0, done.err
    queries = read_collection(tmp_path / "out").queries
    assert queries == {row["id"]: row["question"] for row in rows}
    wrong = crosstune(
        "convert", path.name, "out2", "--column", "query=questoin", "--column", "positive=answer"
    )
    assert wrong.code == 2
    assert "no column 'questoin' (given for query); did you mean question?" in wrong.err


def test_an_ir_datasets_id(tmp_path: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = msmarco(tmp_path / "files")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(f"""
import ir_datasets
from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload
def file(name):
    return LocalDownload({str(folder)!r} + "/" + name)
def part(name):
    return ir_datasets.Dataset(
        docs, TsvQueries(file(f"queries.{{name}}.tsv")), TrecQrels(file(f"qrels.{{name}}.tsv"), {{}}))
docs = TsvDocs(file("collection.tsv"))
ir_datasets.registry.register("mine", ir_datasets.Dataset(docs))
ir_datasets.registry.register("mine/train", part("train"))
ir_datasets.registry.register("mine/dev/small", part("dev.small"))
""")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    done = crosstune("convert", "ir_datasets:mine/train,mine/dev/small", "out")
    assert done.code == 0, done.err
    collection = read_collection(tmp_path / "out")
    assert len(collection.passages) == 3
    assert collection.qrels == {"train": {"01": {"007": 1}}, "dev": {"02": {"1": 1}}}
    wrong = crosstune("convert", "ir_datasets:mine/tran", "out2")
    assert wrong.code == 2
    assert "did you mean mine/train" in wrong.err


def test_a_hub_name_that_cannot_be_fetched(
    tmp_path: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = crosstune("convert", "datasets:nobody/nothing", "out")
    assert done.code == 2
    assert "datasets:nobody/nothing: cannot be fetched" in done.err


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nsys.modules['ir_datasets'] = None\nsys.modules['pyarrow'] = None\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    done = crosstune("convert", "ir_datasets:vaswani", "out")
    assert done.code == 2
    assert "ir_datasets:vaswani needs more packages: pip install 'crosstune[formats]'" in done.err
    (tmp_path / "rows.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    done = crosstune("convert", "rows.jsonl.zst", "out")
    assert done.code == 2
    assert (
        "reading .zst needs more packages: pip install 'crosstune[parquet]' (in a clone '.[parquet]')"
        in done.err
    )


def _write(name: str, text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return make


def _beir_with(name: str, text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        beir(folder)
        with (folder / name).open("a", encoding="utf-8") as handle:
            handle.write(text)

    return make


def _truncated(folder: Path) -> None:
    folder.mkdir()
    packed = gzip.compress(
        b"".join(json.dumps(ROWS[n % 10] | {"n": n}).encode() + b"\n" for n in range(5000))
    )
    (folder / "rows.jsonl.gz").write_bytes(packed[: len(packed) // 2])


def _truncated_zst(folder: Path) -> None:
    import pyarrow

    folder.mkdir()
    packed = pyarrow.compress(
        b"".join(b"a\tb\t%s\n" % os.urandom(40).hex().encode() for _ in range(5000)), "zstd", asbytes=True
    )
    (folder / "triples.tsv.zst").write_bytes(packed[: len(packed) // 2])


def _mixed(folder: Path) -> None:
    beir(folder)
    jsonl(folder / "train.jsonl", [FORMS["cohere"](row) for row in ROWS])


def _msmarco_with(name: str, text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        msmarco(folder)
        with (folder / name).open("a", encoding="utf-8") as handle:
            handle.write(text)

    return make


def _trec_with(qrels: str, **runs: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        jsonl(folder / "corpus.jsonl", [{"_id": "D1", "text": "one"}, {"_id": "D2", "text": "two"}])
        (folder / "topics.tsv").write_text("301\ttwo words\n302\tthree words more\n")
        (folder / "test.qrels").write_text(qrels)
        for name, text in runs.items():
            (folder / f"{name}.run").write_text(text)

    return make


def _cut_data_set(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        from datasets import Dataset

        Dataset.from_list(ROWS).save_to_disk(folder)
        (path,) = folder.glob(name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return make


ROW = json.dumps(ROWS[0]) + "\n"
LIST = {"query": "x", "docs": ["a", "b"], "labels": [1, 0]}
JUDGED = "301 0 D1 1\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_mixed, "(beir: corpus.jsonl, test.tsv, train.tsv, queries.jsonl; cohere: train.jsonl)"),
        (
            _msmarco_with("collection.tsv", "9\ta tab\tinside\n"),
            "collection.tsv:4: found 3 tab-separated columns; 2",
        ),
        (
            _msmarco_with("qrels.train.tsv", "01\t0\t1\t0.5\n"),
            "qrels.train.tsv:2: grade '0.5' is not an integer",
        ),
        (_msmarco_with("qrels.train.tsv", "01\t0\t1\t1\tx\n"), "qrels.train.tsv:2: found 5 columns"),
        (
            _msmarco_with("collection.tsv", "007\tother\n"),
            "id '007' is already at in/collection.tsv:1 with another text",
        ),
        (
            _msmarco_with("qrels.train.tsv", "01\t0\t007\t2\n"),
            "are judged twice, 1 (at in/qrels.train.tsv:1) and 2",
        ),
        (_msmarco_with("qrels.tsv", "01\t0\t1\t1\n"), "in/qrels.tsv: the name says no split"),
        (_beir_with("qrels/train.tsv", "01\t007\t0.5\n"), "train.tsv:4: grade '0.5' is not an integer"),
        (_beir_with("qrels/other.tsv", "01\t007\t1\n"), "other.tsv: the name says no split"),
        (_beir_with("corpus.jsonl", '{"_id": 7.5, "text": "x"}\n'), 'corpus.jsonl:4: "_id" is 7.5; a string'),
        (_beir_with("collection.json", '{"schema": 9}'), 'collection.json: the field "schema" is 9'),
        (_write("rows.jsonl", ROW + "[1, 2]\n"), "rows.jsonl:2: a JSON object was expected, found list"),
        (_write("rows.jsonl", ROW + '{"query": "x"}\n'), 'rows.jsonl:2: "positive" is missing'),
        (_write("rows.jsonl", ROW + '{"query": 3, "positive": "y"}\n'), 'rows.jsonl:2: "query" is int 3'),
        (
            _write("rows.jsonl", ROW + '{"schema": 2, "query": "x"}\n'),
            'rows.jsonl:2: the field "schema" is 2',
        ),
        (
            _write("rows.jsonl", '{"query": "x", "docs": ["a"], "labels": [0.5]}\n'),
            "grades are whole numbers",
        ),
        (
            _write("rows.jsonl", '{"query": "x", "docs": ["a"], "labels": []}\n'),
            '"labels" has 0 entries for 1',
        ),
        (
            _write("rows.jsonl", '{"frage": "x", "antwort": "a"}\n'),
            "its fields (frage, antwort) are those of no known",
        ),
        (_write("rows.csv", "query,positive\na,b,c\n"), "rows.csv:2: found 3 columns, the header has 2"),
        (_write("rows.parquet", "no parquet"), "rows.parquet: not a whole Parquet file"),
        (
            _write("rows.csv", "query_id,query,passage_id,passage,label\n1,red shoe,SKU 12,Shoe,1\n"),
            "rows.csv:2: passage_id is 'SKU 12'; a string without spaces was expected, such as 'SKU_12'",
        ),
        (
            _write("rows.jsonl", ROW + json.dumps(ROWS[1] | {"query_id": "x\ty"}) + "\n"),
            "rows.jsonl:2: query_id is 'x\\ty'; a string without spaces was expected, such as 'x_y'",
        ),
        (
            _write("rows.jsonl", json.dumps(LIST | {"doc_ids": ["a", ""]}) + "\n"),
            "rows.jsonl:1: doc_ids is ''; a string without spaces was expected\n",
        ),
        (
            _write("rows.jsonl", json.dumps(LIST | {"labels": [1e30, 0]}) + "\n"),
            'rows.jsonl:1: "labels": grade 1000000000000000019884624838656; at most 2,147,483,647 was',
        ),
        (
            _trec_with(JUDGED + "301 0 D2 99999999999999999999999\n"),
            "test.qrels:2: grade 99999999999999999999999; at most 2,147,483,647 was expected",
        ),
        (_beir_with("qrels/train.tsv", "01\t10\t-2147483648\n"), "train.tsv:4: grade -2147483648; at most"),
        (
            _trec_with(JUDGED, a="301 Q0 X1 1 2 x\n301 Q0 X2 2 1 x\n"),
            "in: none of the 2 candidates names one of the passages; check that the ids of all files are of "
            "one collection, or take the run out of the folder",
        ),
        (
            _trec_with(JUDGED, a="301 Q0 D2 1 2 x\n", b="302 Q0 D2 1 2 x\n301 Q0 D1 1 2 x\n"),
            "b.run:2: query '301' has candidates in in/a.run already, and scores of two runs are no one "
            "ranking; keep one",
        ),
        (
            _trec_with(JUDGED, a="301 Q0 D2 1 2 x\n301 Q0 D2 1 2 x\n"),
            "a.run:2: document 'D2' is listed twice for query '301'; keep",
        ),
        (
            _beir_with("corpus.jsonl", '{"_id": "d", "text": "x", "price": NaN}\n'),
            'corpus.jsonl:4: "price" holds NaN or an infinite number, which is no JSON; write null',
        ),
        (
            _beir_with("queries.jsonl", '{"_id": "q", "text": "x", "more": {"weight": 1e999}}\n'),
            'queries.jsonl:3: "more" holds NaN or an infinite number',
        ),
        (
            _beir_with("queries.jsonl", '{"_id": "q", "text": "x", "by": "\\ud83d"}\n'),
            "queries.jsonl:3: holds half of a surrogate pair",
        ),
        (
            _write("rows.json", json.dumps(ROWS, indent=1) + "\n" + json.dumps(ROWS, indent=1)),
            "rows.json:53: found '[' after the end of the array, where one array a file was expected",
        ),
        (_write("rows.json", f"[{ROW}] and so on"), "rows.json:2: found 'and so on' after the end of the"),
        (
            _write("rows.json", '[{"query": ' + "1" * 5000 + "}]"),
            "rows.json:1: not JSON that can be read (Exceeds the limit (4300 digits)",
        ),
        (
            _cut_data_set("*.arrow"),
            "in: not a whole folder of save_to_disk (OSError: Expected to be",
        ),
        (_cut_data_set("state.json"), "in: not a whole folder of save_to_disk (JSONDecodeError: "),
        (_write("README.md", "hello"), "no format was recognised"),
        (_truncated, "the compressed file is cut or damaged from here on"),
        (_truncated_zst, "the compressed file is cut or damaged from here on"),
    ],
)
def test_bad_input_is_refused_by_place_and_leaves_nothing(
    tmp_path: Path, crosstune: Crosstune, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    done = crosstune("convert", "in", "out")
    assert done.code == 2
    assert message in done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bom_and_crlf_are_no_part_of_the_data(tmp_path: Path, crosstune: Crosstune) -> None:
    text = "\ufeff" + "".join(json.dumps(row) + "\r\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_bytes(text.encode())
    assert crosstune("convert", "rows.jsonl", "out").code == 0
    assert set(read_collection(tmp_path / "out").queries.values()) == {row["query"] for row in ROWS}


def test_a_line_of_50_mb_goes_through_and_is_counted(tmp_path: Path, crosstune: Crosstune) -> None:
    folder = beir(tmp_path / "in")
    with (folder / "corpus.jsonl").open("a") as handle:
        handle.write(json.dumps({"_id": "huge", "text": "word " * 10_000_000}) + "\n")
    done = crosstune("convert", "in", "out")
    assert done.code == 0, done.err
    assert "passages over 1 MB 1" in done.err
    assert (tmp_path / "out" / "corpus.jsonl").stat().st_size > 50_000_000


def test_swapped_columns_are_suspected_and_said(tmp_path: Path, crosstune: Crosstune) -> None:
    jsonl(
        tmp_path / "rows.jsonl",
        [{"q": row["query"], "p": f"{row['positive']} {'x ' * 5 * n}"} for n, row in enumerate(ROWS)],
    )
    right = crosstune("convert", "rows.jsonl", "a", "--column", "query=q", "--column", "positive=p")
    swapped = crosstune("convert", "rows.jsonl", "b", "--column", "query=p", "--column", "positive=q")
    assert (right.code, swapped.code) == (0, 0)
    assert "suspected" not in right.err
    assert "suspected: query and passage are swapped" in swapped.err


def test_what_is_not_read_is_said_and_a_format_chooses(tmp_path: Path, crosstune: Crosstune) -> None:
    _mixed(tmp_path / "in")
    (tmp_path / "in" / "README.md").write_text("x")
    done = crosstune("convert", "in", "out", "--format", "cohere")
    assert done.code == 0, done.err
    assert "format  cohere" in done.err
    assert "file not read: in/corpus.jsonl" in done.err
    assert "file not read: README.md" in done.err


def test_an_existing_folder_is_kept_and_a_dry_run_writes_nothing(
    tmp_path: Path, crosstune: Crosstune
) -> None:
    jsonl(tmp_path / "rows.jsonl", ROWS)
    assert crosstune("convert", "rows.jsonl", "out", "--dry-run").code == 0
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    done = crosstune("convert", "rows.jsonl", "out")
    assert done.code == 2
    assert "is there already" in done.err
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"
    assert "is, or holds, the input" in crosstune("convert", "rows.jsonl", tmp_path, "--overwrite").err


def test_two_commands_do_not_write_one_folder(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "out") as first:
        (first / "whole").touch()
        with (
            pytest.raises(InputError, match=rf"out: another crosstune \(pid {os.getpid()}\) is writing it"),
            staged_folder(tmp_path / "out"),
        ):
            pytest.fail("two write one folder")
        assert (first / "whole").is_file()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole"]
    with staged_folder(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


def test_the_folder_of_the_call_is_not_replaced(tmp_path: Path, crosstune: Crosstune) -> None:
    source = jsonl(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "empty").mkdir()
    done = crosstune("convert", source, ".", cwd=tmp_path / "empty")
    assert done.code == 2
    assert ".: is, or holds, the folder that this command runs in" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "rows.jsonl"]


def test_a_recipe_takes_what_convert_reads(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    jsonl(tmp_path / "rows.jsonl", [FORMS["cohere"](row) for row in ROWS])
    spec = f"collection=cohere:{tmp_path / 'rows.jsonl'}"
    done = crosstune("retrieve", recipe, spec)
    assert done.code == 0, done.err
    assert (tmp_path / "runs" / "tiny" / "collection" / "beir" / "corpus.jsonl").is_file()
    assert "up to date" in crosstune("retrieve", recipe, spec).err
    jsonl(tmp_path / "rows.jsonl", [FORMS["cohere"](row) for row in ROWS[:9]])
    again = crosstune("retrieve", recipe, spec)
    assert "collection: done" in again.err


def test_too_few_queries_for_a_recipe_are_divided_as_it_says(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    jsonl(tmp_path / "rows.jsonl", [FORMS["cohere"](row) for row in ROWS[:2]])
    done = crosstune("retrieve", recipe, f"collection=cohere:{tmp_path / 'rows.jsonl'}")
    assert done.code == 2
    assert "Divide them by hand: crosstune convert IN OUT --dev SHARE --test SHARE" in done.err
    assert "collection=beir:OUT" in done.err
    assert crosstune("convert", "rows.jsonl", "out", "--dev", 0.5, "--test", 0).code == 0
    done = crosstune("retrieve", recipe, f"collection=beir:{tmp_path / 'out'}")
    assert done.code == 0, done.err

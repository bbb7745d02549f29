"""MS MARCO's files: what is read, and every file that cannot be used named with its line."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from crosstune.data.mini_msmarco import build_mini_msmarco
from crosstune.data.msmarco import MsMarco
from crosstune.data.msmarco_files import read_msmarco_run, read_qrels, read_top1000, read_triples
from crosstune.data.reproduction_settings import MsMarcoFiles
from crosstune.errors import InputError
from crosstune.evaluate.reciprocal_rank import reciprocal_ranks
from models import WORDS

NINE = {
    *("collection.tsv", "queries.train.tsv", "queries.dev.tsv", "queries.eval.tsv"),
    *("qrels.train.tsv", "qrels.dev.tsv", "triples.train.small.tsv", "qidpidtriples.train.small.tsv"),
    "top1000.dev.tsv",
}


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_triples, "q\tp\tn\nq\tp\n", r"file\.tsv:2: found 2 tab-separated columns, 3 were expected"),
        (read_triples, "q\tp\tn\tx\n", r"file\.tsv:1: found 4 tab-separated columns"),
        (read_triples, "q\tp\tn\n\tp\tn\n", r"file\.tsv:2: the query is empty"),
        (read_triples, "q\tp\tn\nq\tp\tcut of", "ends inside a line .*a download or an unpacking"),
        (read_triples, "", "is empty"),
        (read_top1000, "1\t2\tq\tp\n1\tD3\tq\tp\n", r"file\.tsv:2: pid is 'D3'; MS MARCO's ids are integers"),
        (read_top1000, "q1\t2\tq\tp\n", r"file\.tsv:1: qid is 'q1'"),
        (read_top1000, "1\t2\tq\n", r"file\.tsv:1: found 3 tab-separated columns, 4 were expected"),
        (
            read_top1000,
            "1\t2\tq\tp\n1\t3\tother\tp\n",
            r"file\.tsv:2: query 1 is 'other' here and 'q' on line 1",
        ),
        (read_qrels, "1 0 2 1\n", r"file\.tsv:1: found 1 tab-separated columns, 4 were expected"),
        (read_qrels, "1\t0\tx\t1\n", r"file\.tsv:1: pid is 'x'"),
        (read_msmarco_run, "1\t2\t1001\n", r"file\.tsv:1: rank is 1001; 1 to 1000"),
        (
            read_top1000,
            "1\t2\tq\tp\n2\t2\tr\tp\n1\t3\tq\tp\n1\t2\tq\tp\n",
            r"file\.tsv:4: passage 2 is listed twice for query 1, first on line 1; .*\$1, \$2.* file\.tsv",
        ),
        (
            read_msmarco_run,
            "1\t2\t1\n1\t2\t2\n",
            r"file\.tsv:2: passage 2 is listed twice for query 1, first",
        ),
        (
            read_msmarco_run,
            "1 Q0 2 1 0.5 tag\n",
            r"file\.tsv:1: found 1 tab.*; this looks like a TREC run.*of it: awk",
        ),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, read: Callable[[Path], object], text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        list(read(_file(tmp_path, text)))  # type: ignore[call-overload]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv: no such file"):
        list(read_triples(tmp_path / "none.tsv"))


def test_candidates_of_another_query_set_are_refused(tmp_path: Path) -> None:
    (tmp_path / "top1000.dev.tsv").write_text("7\t1\tq\tp\n8\t1\tr\tp\n")
    (tmp_path / "qrels.dev.small.tsv").write_text("7\t0\t1\t1\n")
    data = MsMarco(MsMarcoFiles(folder=str(tmp_path)), tmp_path)
    with pytest.raises(InputError, match=r"top1000\.dev\.tsv:2: query 8 is not in .*qrels\.dev\.small\.tsv"):
        list(data.candidates())


FAULTS: dict[str, tuple[str, str, str]] = {
    "columns": ("top1000.dev.tsv", "7\t39\tq\n", r"top1000\.dev\.tsv:40: found 3 tab-separated columns"),
    "other query": ("top1000.dev.tsv", "9\t39\tr\tp\n", r"top1000\.dev\.tsv:40: query 9 is not in .*qrels"),
    "twin": ("top1000.dev.tsv", "7\t20\tq\tp\n", r"top1000\.dev\.tsv:40: passage 20 .* first on line 21"),
    "judgement": ("qrels.dev.small.tsv", "7\t0\tx\t1\n", r"qrels\.dev\.small\.tsv:2: pid is 'x'"),
    "rank": ("bm25.tsv", "7\t39\t1001\n", r"bm25\.tsv:40: rank is 1001"),
    "ranked twice": ("bm25.tsv", "7\t20\t40\n", r"bm25\.tsv:40: passage 20 .* first on line 21"),
}


@pytest.mark.parametrize(("file", "line", "message"), FAULTS.values(), ids=FAULTS)
def test_the_check_reads_the_files_of_evaluation_to_their_last_line(
    tmp_path: Path, file: str, line: str, message: str
) -> None:
    data = _forty_candidates(tmp_path)
    assert data.check()["top1000"] == (tmp_path / "top1000.dev.tsv").stat().st_size
    lines = (tmp_path / file).read_text().splitlines(keepends=True)[:39]
    (tmp_path / file).write_text("".join([*lines, line]))
    with pytest.raises(InputError, match=message):
        data.check()


def _forty_candidates(folder: Path) -> MsMarco:
    (folder / "triples.train.small.tsv").write_text("q\tp\tn\n")
    (folder / "top1000.dev.tsv").write_text("".join(f"7\t{n}\tq\tp {n}\n" for n in range(40)))
    (folder / "qrels.dev.small.tsv").write_text("7\t0\t1\t1\n")
    (folder / "bm25.tsv").write_text("".join(f"7\t{n}\t{n + 1}\n" for n in range(40)))
    return MsMarco(MsMarcoFiles(folder=str(folder), baseline_run="bm25.tsv"), folder)


def test_a_baseline_of_another_query_set_is_refused_and_gaps_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _forty_candidates(tmp_path)
    (tmp_path / "bm25.tsv").write_text("8\t1\t1\n")
    with pytest.raises(InputError, match=r"bm25\.tsv: no query of it is in .*qrels\.dev\.small\.tsv"):
        data.check()
    (tmp_path / "qrels.dev.small.tsv").write_text("7\t0\t1\t1\n8\t0\t1\t1\n9\t0\t1\t1\n")
    data.check()
    said = capsys.readouterr().err.splitlines()
    for file, missing in (("top1000.dev.tsv", 2), ("bm25.tsv", 2)):
        text = f"{file}: has nothing for {missing} of the 3 judged queries; they count 0"
        assert any(text in line for line in said)


def test_the_check_holds_no_file_in_memory(tmp_path: Path) -> None:
    data = _forty_candidates(tmp_path)
    path = tmp_path / "top1000.dev.tsv"
    with path.open("w") as handle:
        handle.writelines(f"7\t{n}\tq\t{'a passage of some length ' * 20}{n}\n" for n in range(10_000))
    tracemalloc.start()
    try:
        data.check()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 4


def test_each_triple_gives_two_examples_and_quotes_are_plain_text(tmp_path: Path) -> None:
    path = _file(tmp_path, 'a "b\tyes "\tno\r\n')
    data = MsMarco(MsMarcoFiles(folder=str(tmp_path), triples=path.name), tmp_path)
    assert [tuple(example) for example in data.examples()] == [('a "b', 'yes "', 1), ('a "b', "no", 0)]


def test_the_fourth_column_of_the_qrels_is_not_looked_at(tmp_path: Path) -> None:
    assert read_qrels(_file(tmp_path, "1\t0\t2\t0\n1\t0\t3\t1\n")) == {"1": {"2", "3"}}


def test_the_official_measure_by_hand() -> None:
    relevant = {"1": {"10", "11"}, "2": {"20"}, "3": {"30"}, "4": {"40"}}
    ranks = {"1": {"9": 1, "11": 2, "10": 4}, "2": {"20": 10}, "3": {"30": 11}, "5": {"50": 1}}
    assert reciprocal_ranks(relevant, ranks) == {"1": 0.5, "2": 0.1, "3": 0.0, "4": 0.0}


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mini MS MARCO over a small BEIR folder in place of the standard library."""
    folder = tmp_path_factory.mktemp("mini")
    beir = write_beir(folder / "beir")
    build_mini_msmarco(folder / "msmarco", depth=20, dev_queries=8, negatives=3, source=beir)
    return folder / "msmarco"


def write_beir(folder: Path) -> Path:
    rng = random.Random(4)
    (folder / "qrels").mkdir(parents=True)
    passages = [" ".join(rng.choices(WORDS, k=9)) + f"\n\tnumber {n}" for n in range(60)]
    rows = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(passages)]
    queries = [{"_id": f"q{n}", "text": f"{' '.join(passages[n].split()[:3])} {n}"} for n in range(40)]
    for name, lines in (("corpus", rows), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    for split, numbers in (("train", range(20)), ("dev", range(20, 28)), ("test", range(28, 40))):
        lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n}\t1" for n in numbers)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_mini_has_the_formats_ids_and_quirks_of_ms_marco(mini: Path) -> None:
    assert {path.name for path in mini.iterdir()} == NINE | {"run.bm25.dev.tsv"}
    collection = _rows(mini / "collection.tsv")
    assert [row[0] for row in collection] == [str(number) for number in range(60)]
    passages = dict(collection)
    queries = {s: dict(_rows(mini / f"queries.{s}.tsv")) for s in ("train", "dev", "eval")}
    every = [int(qid) for ids in queries.values() for qid in ids]
    assert len(set(every)) == 40
    assert max(every) > 1000, "query ids have gaps"
    qrels = {s: _rows(mini / f"qrels.{s}.tsv") for s in ("train", "dev")}
    for split, rows in qrels.items():
        assert all((len(row), row[1], row[3]) == (4, "0", "1") for row in rows)
        assert {row[0] for row in rows} <= queries[split].keys()
    assert len(qrels["dev"]) == 8 < len(queries["dev"])
    ids = _rows(mini / "qidpidtriples.train.small.tsv")
    texts = _rows(mini / "triples.train.small.tsv")
    relevant = {(row[0], row[2]) for row in qrels["train"]}
    for (qid, positive, negative), text in zip(ids, texts, strict=True):
        assert text == [queries["train"][qid], passages[positive], passages[negative]]
        assert (qid, positive) in relevant
        assert (qid, negative) not in relevant
    top = _rows(mini / "top1000.dev.tsv")
    assert all(row[2:] == [queries["dev"][row[0]], passages[row[1]]] for row in top)
    order = [row[0] for row in top]
    assert order != sorted(order, key=order.index), "rows of a query stand together: not in random order"
    ranks = read_msmarco_run(mini / "run.bm25.dev.tsv")
    assert {(qid, pid) for qid, run in ranks.items() for pid in run} == {(row[0], row[1]) for row in top}


def test_the_mini_depends_on_the_seed_alone(mini: Path, tmp_path: Path) -> None:
    beir = write_beir(tmp_path / "beir")
    for name, seed in (("same", 13), ("other", 14)):
        build_mini_msmarco(tmp_path / name, depth=20, dev_queries=8, negatives=3, source=beir, seed=seed)
    for name in NINE:
        assert (tmp_path / "same" / name).read_bytes() == (mini / name).read_bytes()
    assert (tmp_path / "other/top1000.dev.tsv").read_bytes() != (mini / "top1000.dev.tsv").read_bytes()


def test_a_depth_beyond_a_thousand_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="depth is 1001"):
        build_mini_msmarco(tmp_path, depth=1001)

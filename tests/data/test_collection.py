"""Reading a BEIR folder: what is read, what is counted, what is refused and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstune.data import SplitRule, beir_digest, convert, prepare_collection, read_collection
from crosstune.errors import InputError
from crosstune.evaluate.breakdown import read_query_rows
from crosstune.files import sha256_folder
from crosstune.qrels_files import split_file, split_of
from crosstune.serve.bulk.texts import texts_on_disk
from crosstune.trec import read_qrels as read_judged

CORPUS = '{"_id": "007", "title": "Title", "text": "text"}\n{"_id": "d2", "text": "second"}\n'
QUERIES = '{"_id": "q1", "text": "a query"}\n{"_id": "q2", "text": "another"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\t007\t2\nq2\td2\t1\n"


def _write(folder: Path, corpus: str = CORPUS, queries: str = QUERIES, **splits: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    (folder / "queries.jsonl").write_text(queries, encoding="utf-8")
    for split, text in (splits or {"train": QRELS}).items():
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


def test_ids_grades_and_titles_are_kept(tmp_path: Path) -> None:
    collection = read_collection(_write(tmp_path / "c"))
    assert collection.passages == {"007": "Title text", "d2": "second"}
    assert collection.queries == {"q1": "a query", "q2": "another"}
    assert collection.qrels == {"train": {"q1": {"007": 2}, "q2": {"d2": 1}}}
    assert collection.counts == {}


def test_a_bom_crlf_and_blank_lines_are_no_trouble(tmp_path: Path) -> None:
    plain = read_collection(_write(tmp_path / "a"))
    dos = read_collection(
        _write(
            tmp_path / "b",
            "\ufeff" + CORPUS.replace("\n", "\r\n\r\n"),
            QUERIES.replace("\n", "\r\n"),
            train="\ufeff" + QRELS.replace("\n", "\r\n"),
        )
    )
    assert (plain.passages, plain.queries, plain.qrels) == (dos.passages, dos.queries, dos.qrels)


@pytest.mark.parametrize("header", ["query_id\tcorpus_id\tscore", "query id\tid\tgrade"])
def test_a_header_of_any_names_and_whole_grades_of_floats_are_read(
    tmp_path: Path, header: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """BEIR's loader passes over the first line whatever it says, and pandas writes 1 as 1.0."""
    folder = _write(tmp_path / "c", train=f"{header}\nq1\t007\t2.0\nq2\td2\t1\n")
    assert read_collection(folder).qrels == read_collection(_write(tmp_path / "plain")).qrels
    path = folder / "qrels" / "train.tsv"
    assert read_judged(path) == {"q1": {"007": 2}, "q2": {"d2": 1}}
    read_collection(folder)
    names = header.replace("\t", ", ")
    assert capsys.readouterr().err == f"note: {path}:1: a header ({names}), not read as a judgement\n"


def test_judgements_of_unknown_ids_are_counted(tmp_path: Path) -> None:
    folder = _write(tmp_path / "c", train=QRELS + "q9\td2\t1\nq1\tnone\t1\nq1\tnone2\t1\n")
    counts = read_collection(folder).counts
    assert counts["train_judgements_of_unknown_query"] == 1
    assert counts["train_judgements_of_unknown_document"] == 2


def test_a_query_without_a_judged_passage_in_the_corpus_stays_where_it_is_measured(tmp_path: Path) -> None:
    gone = QRELS.replace("q2\td2", "q2\tnone")
    collection = read_collection(_write(tmp_path / "c", train=gone, dev=gone, test=gone))
    assert collection.qrels["train"] == {"q1": {"007": 2}}
    assert collection.qrels["dev"] == collection.qrels["test"] == {"q1": {"007": 2}, "q2": {}}
    for split in ("train", "dev", "test"):
        assert collection.counts[f"{split}_queries_without_judged_passage"] == 1
    assert collection.counts["test_queries_without_positive"] == 1
    only = _write(tmp_path / "d", test="q1\tnone\t1\n")
    with pytest.raises(InputError, match=r"no judgement is left \(0 name queries"):
        read_collection(only)


def test_odd_but_usable_input_is_counted(tmp_path: Path) -> None:
    corpus = CORPUS + '{"_id": "empty", "text": ""}\n{"_id": "huge", "text": "' + "x" * 1_000_001 + '"}\n'
    queries = QUERIES + '{"_id": "q3", "text": " "}\n'
    folder = _write(tmp_path / "c", corpus, queries, train=QRELS + "q3\td2\t0\n")
    counts = read_collection(folder).counts
    assert counts["empty_document"] == 1
    assert counts["document_over_1_MB"] == 1
    assert counts["empty_query"] == 1
    assert counts["train_queries_without_positive"] == 1


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("corpus.jsonl", "", r"corpus\.jsonl: is empty"),
        ("corpus.jsonl", CORPUS + '{"_id": "d3", "te', r"corpus\.jsonl:3: not valid JSON .* broke off"),
        ("corpus.jsonl", CORPUS + "[1]\n", r"corpus\.jsonl:3: a JSON object was expected, found list"),
        (
            "corpus.jsonl",
            CORPUS + '{"_id": "d2", "text": "x"}\n',
            r"corpus\.jsonl:3: id 'd2' is already on line 2",
        ),
        *(
            ("corpus.jsonl", f'{{"_id": {n}, "text": "x"}}\n', rf'corpus\.jsonl:1: "_id" is {said}; a string')
            for n, said in (("7.0", r"7\.0"), ("true", "True"), ("null", "None"))
        ),
        (
            "corpus.jsonl",
            '{"_id": "7", "text": "x"}\n{"_id": 7, "text": "x"}\n',
            "id '7' is already on line 1",
        ),
        ("corpus.jsonl", '{"_id": "a b", "text": "x"}\n', "a string without spaces was expected"),
        ("corpus.jsonl", '{"_id": "a"}\n', r"text is missing"),
        ("queries.jsonl", '{"_id": "a", "text": 3}\n', r"queries\.jsonl:1: .*text is int"),
        ("qrels/train.tsv", "q1\t007\t1\nq1\td2\tmuch\n", r"train\.tsv:2: grade 'much' is not an integer"),
        ("qrels/train.tsv", "q1\t007\t0.5\n", r"train\.tsv:1: grade '0\.5' is not an integer"),
        ("qrels/train.tsv", "q1\t007\tnan\n", r"train\.tsv:1: grade 'nan' is not an integer"),
        (
            "qrels/train.tsv",
            "q1 0 007 1\n",
            r"train\.tsv:1: found 1 tab-separated columns.*TREC qrels file has 4",
        ),
        ("qrels/train.tsv", "q1\t007\t1\nq1\t007\t2\n", r"train\.tsv:2: .*judged twice, 1 and 2"),
        ("qrels/train.tsv", "x\t007\t1\n", r"train\.tsv: no judgement is left \(1 name queries"),
        ("qrels/train.tsv", "", r"train\.tsv: no judgement is left"),
    ],
)
def test_what_cannot_be_used_is_refused_by_file_and_line(
    tmp_path: Path, file: str, text: str, message: str
) -> None:
    folder = _write(tmp_path / "c")
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_collection(folder)


def test_invalid_utf8_names_the_line(tmp_path: Path) -> None:
    folder = _write(tmp_path / "c")
    with (folder / "corpus.jsonl").open("ab") as handle:
        handle.write(b'{"_id": "d3", "text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"corpus\.jsonl:3: not valid UTF-8"):
        read_collection(folder)


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    folder = _write(tmp_path / "c")
    (folder / file).unlink()
    with pytest.raises(InputError, match=f"{file}: no such file"):
        read_collection(folder)


def test_a_missing_folder_and_missing_qrels_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_collection(tmp_path / "none")
    folder = _write(tmp_path / "c")
    (folder / "qrels" / "train.tsv").unlink()
    with pytest.raises(InputError, match=r"none of train\.tsv, dev\.tsv and test\.tsv"):
        read_collection(folder)


@pytest.mark.parametrize(
    ("name", "others", "message"),
    [
        ("eval.tsv.gz", ["train"], r"qrels/eval\.tsv\.gz: .*; rename it to test\.tsv\.gz"),
        (
            "validation.tsv",
            ["train", "dev"],
            r"qrels/validation\.tsv: is of dev, and so is dev\.tsv beside it; keep one",
        ),
        ("all.tsv", ["train"], r"qrels/all\.tsv: .*; name it after its split, or move it out"),
    ],
)
def test_judgements_under_another_name_are_not_left_out(
    tmp_path: Path, name: str, others: list[str], message: str
) -> None:
    folder = _write(tmp_path / "c", **dict.fromkeys(others, QRELS))
    for ignored in ("._dev.tsv", "README.md"):
        (folder / "qrels" / ignored).touch()
    assert list(read_collection(folder).qrels) == others
    (folder / "qrels" / name).write_text(QRELS)
    with pytest.raises(InputError, match=message):
        read_collection(folder)


def test_an_integer_is_an_id(tmp_path: Path) -> None:
    """As a data frame's numbering is written to JSON; TREC files and qrels hold the same digits."""
    corpus, queries = '{"_id": 0, "text": "first"}\n', '{"_id": 12, "text": "a query"}\n'
    folder = _write(tmp_path / "c", corpus, queries, train="12\t0\t1\n")
    collection = read_collection(folder)
    assert (collection.passages, collection.queries) == ({"0": "first"}, {"12": "a query"})
    assert collection.qrels == {"train": {"12": {"0": 1}}}
    assert read_query_rows(folder / "queries.jsonl")["12"]["text"] == "a query"
    with texts_on_disk(tmp_path / "texts") as texts:
        texts.want("documents", "0", 1)
        texts.read("documents", folder / "corpus.jsonl", tmp_path / "run")
        assert texts.get("documents", "0") == "first"
    convert(str(folder), tmp_path / "out", rule=SplitRule(dev=0, test=0))
    assert '{"_id": "0", "title": "", "text": "first"}' in (tmp_path / "out/corpus.jsonl").read_text()


@pytest.mark.parametrize("name", ["validation", "valid", "val"])
def test_dev_may_have_other_names(tmp_path: Path, name: str) -> None:
    folder = _write(tmp_path / "c", **{"train": QRELS, name: QRELS})
    assert list(read_collection(folder).qrels) == ["train", "dev"]
    assert split_file(folder / "qrels", "dev").name == f"{name}.tsv"
    assert split_of(Path(f"{name}.tsv.gz")) == "dev"
    before = beir_digest(folder)
    (folder / "qrels" / f"{name}.tsv").write_text(QRELS.replace("\t1", "\t3"))
    assert beir_digest(folder) != before
    (folder / "qrels" / ("valid.tsv" if name == "val" else "val.tsv")).write_text(QRELS)
    with pytest.raises(InputError, match=r"is of dev, and so is"):
        read_collection(folder)


def test_further_files_beside_all_splits_are_told_of_and_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _write(tmp_path / "c", train=QRELS, dev=QRELS, test=QRELS)
    before = beir_digest(folder)
    (folder / "qrels" / "all.tsv").write_text("no judgements")
    read_collection(folder)
    assert [len(judged) for judged in read_collection(folder).qrels.values()] == [2, 2, 2]
    assert capsys.readouterr().err == f"note: file not read: {folder / 'qrels' / 'all.tsv'}\n"
    assert beir_digest(folder) == before


def test_a_test_split_alone_is_divided_to_train_and_whole_to_evaluate(tmp_path: Path) -> None:
    queries = "".join(f'{{"_id": "q{n}", "text": "{chr(97 + n) * 9}"}}\n' for n in range(9))
    judged = "".join(f"q{n}\td2\t1\n" for n in range(9))
    folder = _write(tmp_path / "c", queries=queries, test=judged)
    sizes = {
        to_train: {
            split: len(of)
            for split, of in read_collection(
                prepare_collection(f"auto:{folder}", tmp_path / str(to_train), to_train=to_train)
            ).qrels.items()
        }
        for to_train in (True, False)
    }
    assert sizes == {True: {"train": 7, "dev": 1, "test": 1}, False: {"test": 9}}


def test_an_unknown_kind_of_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give stdlib or beir:PATH"):
        prepare_collection("msmarco", tmp_path)


def test_half_a_surrogate_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "a", "text": "fine"}\n{"_id": "b", "text": "cut \\ud83d"}\n'
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "fine"}\n')
    with pytest.raises(InputError, match=r"corpus\.jsonl:2: holds half of a surrogate pair"):
        read_collection(tmp_path)


def test_the_digest_takes_in_what_lies_behind_a_link_to_a_folder(tmp_path: Path) -> None:
    judged = tmp_path / "elsewhere" / "test.tsv"
    judged.parent.mkdir()
    judged.write_text("q\td\t1\n")
    folder = tmp_path / "collection"
    folder.mkdir()
    (folder / "qrels").symlink_to(judged.parent)
    (judged.parent / "back").symlink_to(folder)  # a loop, which ends
    before = sha256_folder(folder)
    judged.write_text("q\td\t2\n")
    assert sha256_folder(folder) != before

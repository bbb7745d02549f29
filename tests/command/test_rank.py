"""`crosstune rank`: what it prints, whatever the texts and the terminal are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.serve import Reranker
from served import tiny_export

ODD = ["\ud800 x", "caf\u00e9 \u4e2d", {"text": "open \udfff", "id": "\ud83d"}]


def _rank(folder: Path, *options: str, encoding: str = "utf-8") -> str:
    (folder / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ODD))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "crosstune.cli",
            "rank",
            str(tiny_export()),
            "x",
            "--documents",
            "-",
            *options,
        ],
        input=(folder / "odd.jsonl").read_bytes(),
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": encoding, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_half_characters_are_printed_with_escapes(tmp_path: Path, encoding: str) -> None:
    shown = _rank(tmp_path, encoding=encoding)
    assert r"\ud800 x" in shown
    assert r"open \udfff" in shown
    assert ("caf\u00e9 \u4e2d" if encoding == "utf-8" else "caf\u00e9 \\u4e2d") in shown
    assert len(shown.splitlines()) == 3
    rows = json.loads(_rank(tmp_path, "--json", encoding=encoding))
    assert [row["document"] for row in sorted(rows, key=lambda row: row["index"])] == ODD


def test_a_number_that_json_lacks_is_named(tmp_path: Path, crosstune: Crosstune) -> None:
    (tmp_path / "odd.jsonl").write_text('"a"\n{"text": "b", "v": NaN}\n')
    done = crosstune("rank", tiny_export(), "x", "--documents", "odd.jsonl", "--json")
    assert (done.code, "odd.jsonl:2: holds NaN or Infinity" in done.err) == (2, True)


def test_it_explains_what_it_prints(tmp_path: Path, crosstune: Crosstune) -> None:
    texts = ["close it", "open a file", "--"]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    words = ["rank", tiny_export(), "open", "--documents", "texts.jsonl", "--explain"]
    rows = json.loads(crosstune(*words, "--json", "--top-k", "2").out)
    assert len(rows) == 2
    for row in rows:
        expected = Reranker(tiny_export()).explain("open", row["document"])
        assert [word["word"] for word in row["explanation"]["words"]] == [
            word.word for word in expected.words
        ]
        changes = [word["change"] for word in row["explanation"]["words"]]
        assert changes == pytest.approx([word.change for word in expected.words], abs=1e-4)
    shown = crosstune(*words).out.splitlines()
    assert len(shown) == 6
    best = next(word for word in rows[0]["explanation"]["words"])
    assert shown[1].split("without: ")[1].startswith(f"{best['word']} {best['change']:+.2f}")
    assert "has no words" in crosstune(*words).out
    assert "explanation" not in crosstune(*words[:-1], "--json").out

"""A tiny random T5 that really writes: whatever it writes is kept, and written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.labels.seq2seq import Seq2SeqSettings, write_queries
from models import tiny_cross_encoder, tiny_seq2seq
from training import WORDS

PASSAGES = [f"{first} {second} the file" for first in WORDS[:4] for second in WORDS[:5]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_seq2seq(tmp_path_factory.mktemp("t5")))


def test_a_stopped_call_goes_on_and_ends_as_one_that_was_not(model: str, tmp_path: Path) -> None:
    settings = Seq2SeqSettings(model, queries=3, query_tokens=8)
    whole = write_queries(settings, PASSAGES, tmp_path / "whole.sqlite", fresh=False)
    write_queries(settings, PASSAGES[:16], tmp_path / "parts.sqlite", fresh=False)
    parts = write_queries(settings, PASSAGES, tmp_path / "parts.sqlite", fresh=False)
    assert (whole.kept, parts.kept) == (0, 16)
    assert parts.queries == whole.queries
    assert list(whole.queries) == PASSAGES
    assert all(len(set(queries)) == len(queries) <= 3 for queries in whole.queries.values())
    assert sum(map(len, whole.queries.values())) > len(PASSAGES)
    again = write_queries(settings, PASSAGES, tmp_path / "parts.sqlite", fresh=True)
    assert (again.kept, again.queries) == (0, whole.queries)
    other = Seq2SeqSettings(model, queries=3, query_tokens=8, seed=14)
    assert write_queries(other, PASSAGES, tmp_path / "parts.sqlite", fresh=False).queries != whole.queries


def test_long_passages_are_cut_and_counted(model: str, tmp_path: Path) -> None:
    settings = Seq2SeqSettings(model, queries=1, passage_tokens=12, query_tokens=4)
    long = " ".join(WORDS * 3)
    for _ in range(2):
        written = write_queries(settings, ["open", long, "sort"], tmp_path / "s.sqlite", fresh=False)
        assert written.cut == 1


def test_other_models_are_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "bert")
    for spec, message in (
        (str(folder), "is no seq2seq model .*model_type is 'bert'"),
        (str(tmp_path / "none"), "--seq2seq: model .*config.json is missing"),
    ):
        with pytest.raises(InputError, match=message):
            write_queries(Seq2SeqSettings(spec, 1), ["a"], tmp_path / "s.sqlite", fresh=False)
    broken = tiny_seq2seq(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"--seq2seq: .*cannot be loaded"):
        write_queries(Seq2SeqSettings(str(broken), 1), ["a"], tmp_path / "s.sqlite", fresh=False)

"""The length rule against an independent writing of it, and batches by token budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from crosstune.errors import InputError
from crosstune.serve.pairs import LengthRule, PairEncoder, pad, token_budget_batches
from models import tiny_cross_encoder

TEXT = st.text(st.characters(codec="utf-8"), max_size=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("m") / "model")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=150, deadline=None)
@given(query=TEXT, passage=TEXT)
def test_ids_are_cls_query_sep_passage_sep(
    folder: Path, tokenizer: PreTrainedTokenizerFast, query: str, passage: str
) -> None:
    rule = LengthRule(max_tokens=24, max_query_tokens=8)
    (pair,) = PairEncoder.from_folder(folder, rule).encode([(query, passage)])
    words = [tokenizer(t, add_special_tokens=False, verbose=False)["input_ids"] for t in (query, passage)]
    first = [tokenizer.cls_token_id, *words[0][:8], tokenizer.sep_token_id]
    second = [*words[1][: 24 - len(first) - 1], tokenizer.sep_token_id]
    assert pair.input_ids == first + second
    assert pair.token_type_ids == [0] * len(first) + [1] * len(second)
    assert pair.cut_query == max(0, len(words[0]) - 8)
    assert pair.cut_passage == len(words[1]) - (len(second) - 1)


def test_a_template_that_is_not_query_then_passage_is_refused(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(single="$A", pair="$B $A", special_tokens=[])
    with pytest.raises(InputError, match="not the query and then the passage"):
        PairEncoder(tokenizer, LengthRule(24, 8))


def test_lone_surrogates_are_no_trouble(folder: Path) -> None:
    encoder = PairEncoder.from_folder(folder, LengthRule(24, 8))
    assert len(encoder.encode([("a\ud800b", "c\udfff")])[0]) > 3


@given(lengths=st.lists(st.integers(1, 300)), budget=st.integers(1, 1000))
def test_batches_hold_every_index_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(token_budget_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        slots = len(batch) * max(lengths[index] for index in batch)
        assert slots <= budget or len(batch) == 1


def test_padding_is_masked(folder: Path) -> None:
    encoder = PairEncoder.from_folder(folder, LengthRule(24, 8))
    short, long = encoder.encode([("a", "b"), ("a", "b c d e f")])
    ids, mask, types = pad([short, long], pad_id=7)
    assert ids.shape == mask.shape == types.shape == (2, len(long))
    assert mask.sum(axis=1).tolist() == [len(short), len(long)]
    assert set(ids[0, len(short) :].tolist()) == {7}


@pytest.mark.parametrize(("tokens", "query"), [(16, 13), (16, 0), (4, 4)])
def test_a_rule_without_room_is_refused(tokens: int, query: int) -> None:
    with pytest.raises(InputError, match="must leave room"):
        LengthRule(tokens, query)


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: cannot be read"):
        PairEncoder.from_folder(tmp_path, LengthRule(16, 4))
    with pytest.raises(InputError, match="no such file"):
        PairEncoder.from_folder(tmp_path / "none", LengthRule(16, 4))

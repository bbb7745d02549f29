"""The windows of a long passage: their plan, their ids against transformers' own, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from crosstune.errors import InputError
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.windows import Best, Windows, best_windows
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder

WORDS = st.sampled_from(["file", "list", "xyz", "a1", "open,", "(sort)"])
SOME = st.lists(WORDS, min_size=1, max_size=60).map(" ".join)
QUERY = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)  # at most 12 wordpieces


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("m") / "model")


@st.composite
def planned(draw: st.DrawFn) -> tuple[Windows, int, int]:
    room = draw(st.integers(1, 60))
    overlap = draw(st.none() | st.integers(0, room - 1))
    return Windows(overlap, draw(st.integers(1, 12))), draw(st.integers(0, 400)), room


@given(planned())
def test_windows_cover_the_passage_from_its_beginning(case: tuple[Windows, int, int]) -> None:
    windows, length, room = case
    plan = windows.plan(length, room)
    shared = room // 2 if windows.overlap is None else windows.overlap
    assert 1 <= len(plan) <= windows.most
    assert plan[0].start == 0
    assert all(len(window) == min(length, room) for window in plan)
    assert all(left.start < right.start for left, right in pairwise(plan))
    overlaps = [left.stop - right.start for left, right in pairwise(plan)]
    assert all(overlap == shared for overlap in overlaps[:-1])
    assert all(shared <= overlap < room for overlap in overlaps), "the last one ends with the passage"
    covered = {place for window in plan for place in window}
    assert covered == set(range(max(covered, default=-1) + 1))
    if len(plan) < windows.most:
        assert len(covered) == length
    elif len(covered) < length:
        assert len(covered) == room + (windows.most - 1) * (room - shared), "no window went to waste"


@settings(max_examples=60, deadline=None)
@given(query=QUERY, passage=SOME, overlap=st.integers(0, 10))
def test_ids_are_those_of_transformers_windows(folder: Path, query: str, passage: str, overlap: int) -> None:
    """Its `stride` is our overlap; it leaves the last window short, where ours ends with the passage."""
    rule = LengthRule(32, 12, windows=Windows(overlap, 64))
    (pair,) = PairEncoder.from_folder(folder, rule).encode([(query, passage)])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    theirs = tokenizer(
        query,
        passage,
        truncation="only_second",
        max_length=32,
        stride=overlap,
        return_overflowing_tokens=True,
        return_token_type_ids=True,
    )
    assert [window.input_ids for window in pair.windows[:-1]] == theirs["input_ids"][:-1]
    assert [window.token_type_ids for window in pair.windows[:-1]] == theirs["token_type_ids"][:-1]
    words, ids = tokenizer([query, passage], add_special_tokens=False)["input_ids"]
    last = pair.windows[-1]
    assert last.input_ids == [2, *words, 3, *ids[-(32 - 3 - len(words)) :], 3]
    assert last.token_type_ids == [0] * (len(words) + 2) + [1] * (len(last) - len(words) - 2)
    assert (pair.cut_passage, max(pair.lengths)) == (0, len(pair))


@settings(max_examples=40, deadline=None)
@given(query=SOME, passage=SOME, most=st.integers(1, 5))
def test_a_passage_in_one_window_is_as_without_windows(
    folder: Path, query: str, passage: str, most: int
) -> None:
    plain, windowed = (
        PairEncoder.from_folder(folder, rule).encode([(query, passage)])[0]
        for rule in (LengthRule(32, 12), LengthRule(32, 12, windows=Windows(None, most)))
    )
    if len(windowed.windows) == 1:
        assert windowed == plain
    else:
        assert plain.cut_passage > windowed.cut_passage
    assert (windowed.input_ids, windowed.token_type_ids) == (plain.input_ids, plain.token_type_ids)
    assert windowed.cut_query == plain.cut_query


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_own_layout_in_every_window(tmp_path: Path, family: str) -> None:
    folder = tiny_base(tmp_path, family)
    query, passage = "open file", "read list value " * 30
    (pair,) = PairEncoder.from_folder(folder, LengthRule(40, 12, windows=Windows(4, 64))).encode(
        [(query, passage)]
    )
    theirs = AutoTokenizer.from_pretrained(folder)(
        query, passage, truncation="only_second", max_length=40, stride=4, return_overflowing_tokens=True
    )
    assert len(pair.windows) > 2
    assert [window.input_ids for window in pair.windows[:-1]] == theirs["input_ids"][:-1]


def test_a_window_knows_its_place_in_the_text(folder: Path) -> None:
    passage = " ".join(f"file{number}" for number in range(40)) + "\ud800"
    encoder = PairEncoder.from_folder(folder, LengthRule(24, 8, windows=Windows(3, 4)))
    (pair,) = encoder.encode([("open", passage)])
    assert pair.cut_passage > 0
    for window in pair.windows:
        assert window.span is not None
        start, end = window.span
        (alone,) = encoder.words([passage[start:end]])
        passage_ids = window.input_ids[3:-1]
        first = next(place for place in range(len(alone.ids)) if alone.ids[place:] == passage_ids[place:])
        assert first <= 2, "but for the pieces of a word that the window begins within"
    assert pair.windows[0].span[0] == 0  # type: ignore[index]


@given(st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=4), max_size=6))
def test_the_best_window_of_each_pair(rows: list[list[float]]) -> None:
    found = list(best_windows([value for row in rows for value in row], [len(row) for row in rows]))
    assert found == [Best(max(row), row.index(max(row))) for row in rows]


@given(query=st.integers(0, 40), passage=st.integers(0, 200), most=st.integers(1, 5))
def test_the_estimate_is_what_is_read(folder: Path, query: int, passage: int, most: int) -> None:
    rule = LengthRule(32, 12, windows=Windows(None, most))
    (pair,) = PairEncoder.from_folder(folder, rule).encode([("file " * query, "list " * passage)])
    assert rule.ids(query, passage) == sum(pair.lengths)
    assert passage - pair.cut_passage <= rule.reach


@pytest.mark.parametrize("overlap", [17, 18, 400])
def test_windows_that_would_not_advance_are_refused(overlap: int) -> None:
    with pytest.raises(InputError, match=f"windows.overlap is {overlap} and the shortest window.* 17 tokens"):
        LengthRule(32, 12, windows=Windows(overlap, 4))
    assert LengthRule(32, 12, windows=Windows(16, 4)).windows is not None


def test_a_tokenizer_with_more_special_tokens_leaves_less_room(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path, "roberta")
    with pytest.raises(InputError, match=r"windows.overlap is 16 .* has 16 tokens"):
        PairEncoder.from_folder(folder, LengthRule(32, 12, windows=Windows(16, 4)))
    with pytest.raises(InputError, match=r"windows.overlap is None .* has 0 tokens"):
        PairEncoder.from_folder(folder, LengthRule(32, 28, windows=Windows(None, 4)))


def test_other_bad_windows_are_refused() -> None:
    with pytest.raises(InputError, match="most 0: 'max' and at least 1 were expected"):
        Windows(None, 0)
    with pytest.raises(InputError, match="aggregate 'sum'"):
        Windows(None, 4, "sum")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no part of the input of style nogueira_cho"):
        LengthRule(32, 12, "nogueira_cho", Windows(None, 4))

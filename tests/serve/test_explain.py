"""What `Reranker.explain` says, against leaving the words out by hand."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from crosstune.errors import InputError
from crosstune.serve import Reranker
from served import tiny_export


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker(tiny_export())


def test_a_change_is_that_of_the_logit_without_the_word(reranker: Reranker) -> None:
    document = "read a value, don't sort it"
    found = reranker.explain("open the file", document)
    by_hand = {
        "read": " a value, don't sort it",
        "a": "read value, don't sort it",
        "value": "read a , don't sort it",
        "don't": "read a value, sort it",
        "sort": "read a value, don't it",
        "it": "read a value, don't sort ",
    }
    assert {change.word for change in found.words} == set(by_hand)
    assert found.untried == 0
    whole = reranker.score([("open the file", document)])[0].logit
    assert found.logit == pytest.approx(whole, abs=1e-5)
    for change in found.words:
        without = reranker.score([("open the file", by_hand[change.word])])[0].logit
        assert change.change == pytest.approx(without - whole, abs=1e-5)
        assert document[change.start : change.end] == change.word
    sizes = [abs(change.change) for change in found.words]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0


def test_every_place_of_a_word_counts_alone_and_the_cap_is_said(reranker: Reranker) -> None:
    found = reranker.explain("open", {"body": "file file list sort"}, 3, text_field="body")
    assert sorted((change.start, change.word) for change in found.words) == [
        (0, "file"),
        (5, "file"),
        (10, "list"),
    ]
    assert found.untried == 1
    with pytest.raises(InputError, match="max_words is 0"):
        reranker.explain("open", "file", 0)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", []),
        ("-- !", []),
        ("打开文件 open", ["打", "开", "文", "件", "open"]),
        ("l’été dernier", ["l’été", "dernier"]),
    ],
)
def test_what_counts_as_a_word(reranker: Reranker, document: str, words: list[str]) -> None:
    found = reranker.explain("open", document)
    assert [change.word for change in sorted(found.words, key=lambda change: change.start)] == words


def test_of_a_long_text_only_what_is_read_is_gone_through(reranker: Reranker) -> None:
    """The rule's 48 tokens are read from 64 characters each at most."""
    document = "open the file " * 100_000
    read = document[: 48 * 64]
    expected = reranker.explain("open", read, 10)
    tracemalloc.start()
    found = reranker.explain("open", document, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(word.start, word.word) for word in found.words] == [
        (word.start, word.word) for word in expected.words
    ]
    assert [word.change for word in found.words] == pytest.approx(
        [word.change for word in expected.words], abs=1e-5
    )
    assert found.untried == 300_000 - 10
    assert peak < 5_000_000, "bytes; a match a word would be 40 MB"


def test_a_ranking_explains_what_it_returns(reranker: Reranker) -> None:
    documents = [{"body": text} for text in ("close it", "read a value", "open a file", "sort the list")]
    ranked = reranker.rank("open the file", documents, 2, text_field="body", explain=True)
    assert [hit.document for hit in ranked] == [
        hit.document for hit in reranker.rank("open the file", documents, 2, text_field="body")
    ]
    later = asyncio.run(reranker.arank("open the file", documents, 2, text_field="body", explain=True))
    for hit in (*ranked, *later):
        alone = reranker.explain("open the file", hit.document, text_field="body")
        assert hit.explanation is not None
        assert hit.explanation.logit == pytest.approx(hit.logit, abs=1e-5)
        assert {(word.start, round(word.change, 4)) for word in hit.explanation.words} == {
            (word.start, round(word.change, 4)) for word in alone.words
        }
    assert all(hit.explanation is None for hit in reranker.rank("open", ["a file"]))

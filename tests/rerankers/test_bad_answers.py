"""An endpoint that answers badly is refused by name, query, what was found and what was expected."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.endpoints.answers import BadAnswer
from crosstune.endpoints.load import Load
from crosstune.errors import CheckFailed, InputError
from crosstune.rerankers.answers import by_index
from crosstune.rerankers.ask import rerank_by_endpoint
from crosstune.rerankers.rerank import Job, Reranked
from crosstune.rerankers.settings import EndpointSettings
from crosstune.rerankers.styles import STYLES
from unruly import Reply, Unruly, results, rows, unruly

TEXTS = ("close it", "open the file", "open it", "sort the list")
JOBS = [Job("q7", "open the file", ("a", "b", "c", "d"), lambda: TEXTS)]
KEY = "secret-key-of-the-api"
Answer = Callable[[int, dict[str, Any]], Reply]


def ask(service: Unruly, tmp_path: Path, style: str = "jina", documents: int = 100, **load: Any) -> Reranked:
    model = "m" if STYLES[style].needs_model else None
    endpoint = EndpointSettings("bad", service.url, STYLES[style], model, documents, key=KEY)
    return rerank_by_endpoint(endpoint, JOBS, Load(**{"attempts": 1, **load}), tmp_path / "answers.sqlite")


def changed(change: Callable[[list[dict[str, Any]]], Any]) -> Answer:
    return lambda _, request: results(change(rows(request)))


def _with_score(score: Any) -> Answer:
    return changed(lambda found: [found[0] | {"relevance_score": score}, *found[1:]])


def _with_index(index: Any) -> Answer:
    return changed(lambda found: [found[0] | {"index": index}, *found[1:]])


BAD: dict[str, tuple[Answer, str]] = {
    "dropped": (changed(lambda found: found[:3]), "3 results for 4 documents, none for index 0; expected"),
    "none": (changed(lambda found: []), "found 0 results for 4 documents, none for index 0"),
    "doubled": (changed(lambda found: [*found, found[0]]), "found index 1 twice among 5 results; expected"),
    "doubled in place": (_with_index(0), "found index 0 twice among 4 results"),
    "foreign index": (_with_index(4), "found index 4; expected whole numbers from 0 to 3"),
    "negative index": (_with_index(-1), "found index -1; expected whole numbers from 0 to 3"),
    "index as text": (_with_index("1"), "found index '1'; expected whole numbers"),
    "index as truth": (_with_index(True), "found index True; expected whole numbers"),
    "score as text": (_with_score("0.93"), "found the score '0.93' (str) for index 1; expected a number"),
    "no score": (_with_score(None), "found the score None (NoneType) for index 1; expected a number"),
    "score as truth": (_with_score(True), "found the score True (bool) for index 1"),
    "NaN": (_with_score(float("nan")), "found a score that is NaN; expected finite numbers"),
    "infinite": (_with_score(float("-inf")), "found a score that is -Infinity; expected finite numbers"),
    "too large": (_with_score(1e300), "found the score 1e+300 for index 1; expected a finite"),
    "huge": (_with_score(10**400), "for index 1; expected a finite number that 32 bits hold"),
    "beyond all": (lambda *_: Reply(body="9" * 5000), "expected JSON"),
    "result without a score": (
        changed(lambda found: [{"index": 0}]),
        "found result 0 as an object with 'index'; expected \"index\" and \"relevance_score\" in each",
    ),
    "result that is none": (changed(lambda found: ["a"]), "found result 0 as str 'a'; expected"),
    "another form": (
        lambda *_: Reply(body="[]"),
        "found a list of 0; expected the style jina: an object with a list under \"results\"; is it another",
    ),
    "an error in 200": (lambda *_: Reply(body='{"message": "no"}'), "found an object with 'message';"),
    "a page": (
        lambda *_: Reply(body="<html>\n <b>Sign\x07 in</b>", media_type="text/html; charset=utf-8"),
        "found text/html that begins with '<html> <b>Sign in</b>'; expected JSON",
    ),
    "nothing": (lambda *_: Reply(body=""), "found application/json that begins with ''; expected JSON"),
    "half of it": (lambda *_: Reply(body='{"results": [{"ind'), "begins with '{\"results\": [{\"ind';"),
    "the key": (lambda *_: Reply(body=f"you are {KEY}"), "begins with 'you are ***'; expected JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_cannot_be_counted(name: str, tmp_path: Path) -> None:
    answer, message = BAD[name]
    with unruly(answer) as service:
        with pytest.raises(CheckFailed) as caught:
            ask(service, tmp_path)
        assert str(caught.value).startswith(f"{service.url}: query 'q7': found ")
        assert message in str(caught.value)
        assert "It was not counted; mend the endpoint, and the same command goes on" in str(caught.value)
        assert KEY not in str(caught.value)
        service.answer = lambda _, request: results(rows(request))
        kept = ask(service, tmp_path)
        assert len(service.asked) == 2, "a bad answer must not have been kept"
        assert list(kept.scores["q7"]) == ["a", "b", "c", "d"]


REFUSED = {
    401: "name the environment variable that holds a valid key with --api-key-env NAME",
    404: "check the address, its path, and --model",
    302: "redirections are not followed",
    400: "check --style and --model",
}


@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_not_asked_again(status: int, tmp_path: Path) -> None:
    said = Reply(status, f'{{"message": "no {KEY}"}}', headers={"Location": "http://127.0.0.1:9/rerank"})
    with unruly(lambda *_: said) as service:
        with pytest.raises(InputError) as caught:
            ask(service, tmp_path, attempts=5)
        assert len(service.asked) == 1
        assert f"{service.url}: query 'q7': found status {status} " in str(caught.value)
        assert 'no ***"})' in str(caught.value)
        assert REFUSED[status] in str(caught.value)


@pytest.mark.parametrize("status", [200, 403])
def test_no_part_of_the_key_is_shown(status: int, tmp_path: Path) -> None:
    """It stands where the excerpt of an answer ends."""
    for before in range(140, 160):
        with unruly(lambda *_: Reply(status, "x" * before + KEY)) as service:  # noqa: B023
            with pytest.raises((CheckFailed, InputError)) as caught:
                ask(service, tmp_path)
            assert "x" * 140 in str(caught.value) and KEY[:6] not in str(caught.value)


def test_one_that_never_answers(tmp_path: Path) -> None:
    with unruly(lambda *_: Reply(wait=3)) as service:
        started = time.monotonic()
        with pytest.raises(CheckFailed, match=r"no whole answer within 0\.3 s, 2 times in a row; expected"):
            ask(service, tmp_path, attempts=2, timeout_seconds=0.3)
        assert len(service.asked) == 2
        assert time.monotonic() - started < 30, "the waits between attempts are bounded"
        url = service.url
    with pytest.raises(CheckFailed, match=r"found a broken connection .* 1 times in a row"):
        ask(Unruly(url, lambda *_: Reply()), tmp_path)


@pytest.mark.parametrize(
    ("status", "said"), [(413, "too large"), (422, "batch size 4 > maximum allowed batch size 1")]
)
def test_a_request_that_is_too_large_is_divided(status: int, said: str, tmp_path: Path) -> None:
    def small(_: int, request: dict[str, Any]) -> Reply:
        return (
            Reply(status, json.dumps({"error": said}))
            if len(request["documents"]) > 1
            else results(rows(request))
        )

    with unruly(small) as service:
        divided = ask(service, tmp_path)
        assert [len(request["documents"]) for request in service.asked] == [4, 2, 1, 1, 1, 1]
        assert divided.documents == 1
        assert max(divided.scores["q7"], key=divided.scores["q7"].__getitem__) == "b"
        service.answer = lambda *_: Reply(413)
        with pytest.raises(InputError, match="found status 413; expected status 200; even a single document"):
            ask(service, tmp_path, fresh=True)


def test_requests_have_the_size_and_number_that_was_asked_for(tmp_path: Path) -> None:
    with unruly() as service:
        found = ask(service, tmp_path, documents=3)
        assert [len(request["documents"]) for request in service.asked] == [3, 1]
        assert [len(answer.scores) for answer in found.answers] == [3, 1]
        assert service.asked[0] == {
            "model": "m", "query": "open the file", "documents": list(TEXTS[:3]), "return_documents": False,
        }  # fmt: skip
        started = time.monotonic()
        ask(service, tmp_path, documents=1, per_minute=300, concurrency=8, fresh=True)
        assert time.monotonic() - started >= 0.6, (
            "the fourth request must begin three fifths of a second later"
        )


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"no database at all, but long enough to be one" * 50)
    with (
        unruly() as service,
        pytest.raises(InputError, match=r"answers\.sqlite: the answers kept there cannot be"),
    ):
        ask(service, tmp_path)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.randoms())
def test_any_order_is_mapped_by_index(scores: list[float], chance: random.Random) -> None:
    pairs = list(enumerate(scores))
    chance.shuffle(pairs)
    assert by_index(pairs, len(scores)) == scores
    with pytest.raises(BadAnswer):
        by_index(pairs[1:], len(scores))
    with pytest.raises(BadAnswer):
        by_index([*pairs, pairs[0]], len(scores))

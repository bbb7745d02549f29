"""A chat endpoint that answers badly, slowly or not at all; and what its answers may cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chat_service import completion
from crosstune.endpoints.load import Load
from crosstune.errors import CheckFailed, InputError
from crosstune.labels.ask import Asked, ask_all
from crosstune.labels.chat import ChatAnswer, ChatSettings, Prompt, chat_address, chat_body
from crosstune.labels.plan import plan_of
from crosstune.labels.spending import Limits, Spending
from unruly import Reply, Unruly, unruly

KEY = "secret-key-of-the-api"
PROMPTS = [Prompt(f"passage 'd{n}'", f"write about {n}") for n in range(6)]
Answer = Callable[[int, dict[str, Any]], Reply]


def good(number: int, request: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps(completion('["a query"]', request["messages"][0]["content"])))


def settings(url: str, **changes: Any) -> ChatSettings:
    return ChatSettings(
        url, "m", 0.5, 20, **{"key": KEY, "input_price": 2.0, "output_price": 10.0, **changes}
    )


def ask(service: Unruly, tmp_path: Path, limits: Limits | None = None, **load: Any) -> tuple[Asked, Spending]:
    chat = settings(service.url)
    spending = Spending(chat, limits or Limits())
    how = Load(**{"attempts": 1, "concurrency": 2, **load})
    return ask_all(chat, PROMPTS, how, spending, tmp_path / "chat.sqlite", "m, passages"), spending


def _body(value: Any) -> Answer:
    return lambda *_: Reply(body=json.dumps(value))


BAD: dict[str, tuple[Answer, str]] = {
    "a page": (lambda *_: Reply(body="<html>Sign in</html>", media_type="text/html"), "found text/html that"),
    "half of it": (lambda *_: Reply(body='{"choices": [{"mess'), "found application/json that begins"),
    "an error in 200": (_body({"error": {"message": "no"}}), "found an object with 'error'; expected a chat"),
    "no choice": (_body({"choices": []}), "found an object with 'choices'; expected a chat completion"),
    "a list": (_body([1]), "found a list of 1; expected a chat completion"),
    "no text": (
        _body(completion("") | {"choices": [{"message": {"content": ["a"]}}]}),
        'found a choice as an object with \'message\'; expected a text under "message", "content"',
    ),
    "the key": (lambda *_: Reply(body=f"you are {KEY}"), "begins with 'you are ***'; expected JSON"),
    "always 500": (lambda *_: Reply(500, f"down, {KEY}"), "found status 500 (down, ***), 1 times in a row"),
    "a long wait": (
        lambda *_: Reply(429, "", headers={"Retry-After": "7200"}),
        "found status 429, which asks to wait 7200 s",
    ),
    "cut off": (lambda *_: Reply(body="{}", cut=True), "found a broken connection"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_is_not_counted_or_kept(name: str, tmp_path: Path) -> None:
    answer, message = BAD[name]
    with unruly(answer) as service:
        with pytest.raises(CheckFailed) as caught:
            ask(service, tmp_path, concurrency=1)
        assert f"{service.url}: passage 'd0': " in str(caught.value)
        assert message in str(caught.value)
        assert "goes on from there" in str(caught.value)
        assert KEY not in str(caught.value)
        asked = len(service.asked)
        service.answer = good
        found, spending = ask(service, tmp_path)
        assert len(service.asked) - asked == len(PROMPTS) == len(found.answers)
        assert spending.kept == 0


@pytest.mark.parametrize(
    ("status", "todo"), [(401, "--api-key-env NAME"), (404, "--model"), (400, "--model")]
)
def test_a_refusal_of_the_first_ends_all(status: int, todo: str, tmp_path: Path) -> None:
    with unruly(lambda *_: Reply(status, f"no {KEY}")) as service:
        with pytest.raises(InputError, match=rf"passage 'd0': found status {status} \(no \*\*\*\).*{todo}"):
            ask(service, tmp_path, attempts=5, concurrency=1)
        assert len(service.asked) == 1


def test_attempts_wait_as_they_are_told_and_then_all_is_there(tmp_path: Path) -> None:
    def busy(number: int, request: dict[str, Any]) -> Reply:
        if number == 1:
            return Reply(429, "slow down", headers={"Retry-After": "1"})
        return Reply(500, "down") if number == 3 else good(number, request)

    with unruly(busy) as service:
        found, spending = ask(service, tmp_path, attempts=3, concurrency=1)
        assert len(service.asked) == len(PROMPTS) + 2
    assert (len(found.answers), found.not_asked, spending.failures) == (6, 0, 2)
    assert set(service.logins) == {f"Bearer {KEY}"}


def test_one_that_is_slow_is_given_up_and_the_others_are_kept(tmp_path: Path) -> None:
    with unruly(lambda n, request: Reply(wait=3) if n == 4 else good(n, request)) as service:
        with pytest.raises(CheckFailed, match=r"no whole answer within 0\.5 s, 1 times in a row"):
            ask(service, tmp_path, timeout_seconds=0.5, concurrency=1)
        service.answer = good
        _, spending = ask(service, tmp_path)
        assert (spending.requests, spending.kept) == (6, 3)
        assert len(service.asked) == 4 + 3


def test_what_is_on_its_way_at_an_error_is_waited_for(tmp_path: Path) -> None:
    """It is paid: the next call must find it."""

    def answer(number: int, request: dict[str, Any]) -> Reply:
        if number == 1:
            return Reply(500, "down", wait=0.3)
        return Reply(body=good(number, request).body, wait=1.0)

    with unruly(answer) as service:
        with pytest.raises(CheckFailed, match="status 500"):
            ask(service, tmp_path, concurrency=2)
        assert len(service.asked) == 2
        service.answer = good
        _, spending = ask(service, tmp_path)
        assert spending.kept == 1


def test_an_answer_that_says_nothing_is_one(tmp_path: Path) -> None:
    silent = {"message": {"role": "assistant", "content": None, "refusal": "no"}, "finish_reason": "length"}
    with unruly(_body(completion("") | {"choices": [silent]})) as service:
        found, spending = ask(service, tmp_path)
    assert {(answer.text, answer.cut) for answer in found.answers.values()} == {("", True)}
    assert spending.requests == 6


def test_a_prompt_that_is_refused_alone_is_counted(tmp_path: Path) -> None:
    def filtered(number: int, request: dict[str, Any]) -> Reply:
        refused = request["messages"][0]["content"].endswith("3")
        return Reply(400, "content filter") if refused else good(number, request)

    with unruly(filtered) as service:
        found, spending = ask(service, tmp_path, concurrency=1)
    assert list(found.refused) == ["write about 3"]
    assert "status 400 (content filter)" in found.refused["write about 3"]
    assert (len(found.answers), spending.requests) == (5, 5)


def test_an_answer_is_asked_for_once(tmp_path: Path) -> None:
    with unruly(good) as service:
        chat = settings(service.url)
        for _ in range(2):
            spending = Spending(chat, Limits())
            ask_all(chat, [*PROMPTS, *PROMPTS], Load(), spending, tmp_path / "chat.sqlite", "m")
        assert len(service.asked) == len(PROMPTS)
        assert (spending.requests, spending.kept) == (6, 6)
        other = settings(service.url, fields={"top_p": 0.5, "max_tokens": None})
        ask_all(other, PROMPTS[:1], Load(), Spending(other, Limits()), tmp_path / "chat.sqlite", "m")
        assert service.asked[-1]["top_p"] == 0.5
        assert "max_tokens" not in service.asked[-1]
    assert KEY.encode() not in (tmp_path / "chat.sqlite").read_bytes()


def test_a_plan_counts_what_is_kept(tmp_path: Path) -> None:
    with unruly(good) as service:
        ask(service, tmp_path, Limits(requests=2))
        chat = settings(service.url)
        plan = plan_of(chat, [*PROMPTS, *PROMPTS], tmp_path / "chat.sqlite", fresh=False)
        assert (plan.requests, plan.kept, plan.prompt) == (4, 2, "write about 2")
        assert (plan.input_tokens, plan.output_tokens) == (4 * 4, 4 * 20)
        assert plan.cost == pytest.approx((2 * 16 + 10 * 80) / 1e6)
        nothing = plan_of(chat, [], tmp_path / "chat.sqlite", fresh=False)
        assert (nothing.requests, nothing.prompt) == (0, "")
        assert len(service.asked) == 2


LIMITS = {
    "requests": (Limits(requests=4), 4),
    # 3 words sent and 2 received an answer, as the service counts; 4 and 20 are set aside for the next one.
    "tokens": (Limits(tokens=38), 3),
    "cost": (Limits(cost=3e-4), 4),
    "nothing": (Limits(tokens=1), 0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_hold_over_calls(name: str, tmp_path: Path) -> None:
    limits, answers = LIMITS[name]
    with unruly(good) as service:
        for _ in range(2):
            found, spending = ask(service, tmp_path, limits, concurrency=1)
            assert len(service.asked) == len(found.answers) == answers
            assert found.not_asked == len(PROMPTS) - answers
    assert spending.cost == pytest.approx((2.0 * 3 + 10.0 * 2) * answers / 1e6)


def test_answers_without_counts_are_estimated(tmp_path: Path) -> None:
    uncounted = {name: value for name, value in completion("[]").items() if name != "usage"}
    with unruly(_body(uncounted)) as service:
        _, spending = ask(service, tmp_path)
    assert spending.estimated == 6
    assert spending.input_tokens == 6 * round(len("write about 1") / 3)


@hypothesis_settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=60), st.integers(0, 20)), max_size=30),
    st.integers(0, 300),
    st.integers(1, 4),
)
def test_no_limit_is_passed_by_what_stays_within_its_estimate(
    answers: list[tuple[str, int]], most: int, concurrency: int
) -> None:
    spending = Spending(settings("http://x"), Limits(tokens=most, requests=7, cost=most / 1e5))
    waiting: list[tuple[str, int]] = []
    for prompt, received in answers:
        if spending.begin(prompt):
            waiting.append((prompt, received))
        if len(waiting) == concurrency:
            _end(spending, *waiting.pop(0))
    for row in waiting:
        _end(spending, *row)
    assert spending.input_tokens + spending.output_tokens <= most
    assert spending.requests <= 7
    assert (spending.cost or 0) <= most / 1e5


def _end(spending: Spending, prompt: str, received: int) -> None:
    sent = round(len(prompt.encode()) / 3)
    spending.add(prompt, ChatAnswer("x", False, sent, received))
    spending.end(prompt)


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/openai/deployments/d?api-version=1", "https://h/openai/deployments/d/chat/completions?api-version=1"),
    ],
)  # fmt: skip
def test_addresses(given_url: str, expected: str) -> None:
    assert chat_address(given_url) == expected


@pytest.mark.parametrize("bad", ["h/v1", "ftp://h", f"https://me:{KEY}@h/v1"])
def test_addresses_that_are_none(bad: str) -> None:
    with pytest.raises(InputError) as caught:
        chat_address(bad)
    assert KEY not in str(caught.value)


def test_the_body_is_that_of_the_format() -> None:
    assert chat_body(settings("http://x"), "half \ud800") == {
        "model": "m",
        "messages": [{"role": "user", "content": "half ?"}],
        "temperature": 0.5,
        "max_tokens": 20,
    }

"""Prompts through a chat endpoint: several at once, in one event loop, each paid for once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from crosstune.endpoints.address import shown
from crosstune.endpoints.answers import BadAnswer, read_json
from crosstune.endpoints.http import GaveUp, Poster, Refused, TooLarge, poster
from crosstune.endpoints.kept import Kept, kept_answers
from crosstune.endpoints.load import Load
from crosstune.errors import CheckFailed, InputError
from crosstune.labels.chat import ChatAnswer, ChatSettings, Prompt, chat_body, prompt_key, read_chat
from crosstune.labels.spending import Spending
from crosstune.progress import progress

OF_ONE_PROMPT = (400, 413, 422)
"""Statuses that may be about one prompt alone, such as a content filter's, once others were answered."""
_ADVICE = "check --model, and the fields of the request (--request-field)"


@dataclass(frozen=True)
class Asked:
    """`answers`: by the prompt's text; `refused`: prompt's text -> what the endpoint said to this one alone;
    `not_asked`: prompts beyond the limits."""

    answers: dict[str, ChatAnswer]
    refused: dict[str, str]
    not_asked: int


def ask_all(
    settings: ChatSettings,
    prompts: Sequence[Prompt],
    load: Load,
    spending: Spending,
    store: Path,
    label: str,
) -> Asked:
    """Asks for the answers to `prompts`, in their order and as far as the limits of `spending` allow, which
    sums them up; equal prompts once. What is answered is kept in the file `store` at once, so that a killed
    call goes on.

    Raises `InputError` for an endpoint that refuses, `CheckFailed` for answers that are no chat completions
    and for those that never came; both name the address and the prompt, and never the key.
    """
    with kept_answers(store, fresh=load.fresh) as kept:

        async def work() -> Asked:
            async with poster(settings.url, settings.key, load, advice=_ADVICE) as opened:
                return await _Asker(settings, opened, kept, spending).ask(prompts, load.concurrency, label)

        return asyncio.run(work())


class _Asker:
    def __init__(self, settings: ChatSettings, opened: Poster, kept: Kept, spending: Spending) -> None:
        self._settings, self._poster, self._kept = settings, opened, kept
        self._spending = spending
        self._answers: dict[str, ChatAnswer] = {}
        self._refused: dict[str, str] = {}
        self._failed = False

    async def ask(self, prompts: Sequence[Prompt], concurrency: int, label: str) -> Asked:
        unique = list({prompt.text: prompt for prompt in reversed(prompts)}.values())[::-1]
        new = [prompt for prompt in unique if not self._known(prompt)]
        with progress(label, len(new)) as advance:
            left = deque(new)
            workers = [self._work(left, advance) for _ in range(concurrency)]
            # An error ends them all, but what is on its way is waited for: it may be paid.
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        done = len(self._answers) + len(self._refused)
        return Asked(self._answers, self._refused, len(unique) - done)

    async def _work(self, left: deque[Prompt], advance: Callable[[int], None]) -> None:
        while left and not self._failed:
            prompt = left.popleft()
            if not self._spending.begin(prompt.text):
                left.appendleft(prompt)
                return
            try:
                await self._one(prompt)
            except BaseException:
                self._failed = True
                raise
            finally:
                self._spending.end(prompt.text)
            advance(1)

    def _known(self, prompt: Prompt) -> bool:
        """Takes an answer from an earlier call. It counts towards the limits, but is never refused by them:
        it is paid."""
        key = prompt_key(self._settings, prompt.text)
        found = self._kept.find(key)
        if found is None:
            return False
        try:
            answer = replace(ChatAnswer(**found), kept=True)
        except TypeError:
            raise self._kept.damaged(key) from None
        self._add(prompt, answer)
        return True

    async def _one(self, prompt: Prompt) -> None:
        at = f"{shown(self._settings.url)}: {prompt.name}"
        try:
            response = await self._poster.post(chat_body(self._settings, prompt.text))
            payload = read_json(response.body, response.media_type, self._settings.key)
            answer = read_chat(payload, response.failures)
        except (Refused, TooLarge) as error:
            status = error.status if isinstance(error, Refused) else 413
            if status not in OF_ONE_PROMPT or not self._answers:
                raise InputError(f"{at}: {error}") from None
            self._refused[prompt.text] = str(error)
            return
        except GaveUp as error:
            raise CheckFailed(
                f"{at}: found {error}; expected an answer; the answers before it are kept: the same command "
                "goes on from there, with --attempts, --timeout-seconds or a lower --concurrency where the "
                "endpoint is slow"
            ) from None
        except BadAnswer as error:
            raise CheckFailed(
                f"{at}: {self._redacted(str(error))}. It was not counted; mend the endpoint, and the same "
                "command goes on from there"
            ) from None
        self._kept.keep(prompt_key(self._settings, prompt.text), asdict(answer))
        self._add(prompt, answer)

    def _add(self, prompt: Prompt, answer: ChatAnswer) -> None:
        self._answers[prompt.text] = answer
        self._spending.add(prompt.text, answer)

    def _redacted(self, text: str) -> str:
        return text.replace(self._settings.key, "***") if self._settings.key else text

"""An endpoint: a query's documents in requests of its size, and its answers checked and kept."""

from __future__ import annotations

from collections.abc import Sequence

from crosstune.endpoints.address import shown
from crosstune.endpoints.answers import BadAnswer, read_json
from crosstune.endpoints.http import GaveUp, Poster, Refused, TooLarge
from crosstune.errors import CheckFailed, InputError
from crosstune.rerankers.answers import scores_of
from crosstune.rerankers.settings import EndpointSettings
from crosstune.rerankers.store import Answer, AnswerStore, request_key
from crosstune.rerankers.styles import billing, request_body


class Endpoint:
    """Asks for the scores of a query's documents. `documents` becomes smaller when the endpoint says that a
    request is too large."""

    def __init__(
        self, settings: EndpointSettings, poster: Poster, store: AnswerStore, *, resumes: bool = True
    ) -> None:
        """`resumes`: whether the next call reads `store`, as errors then say."""
        self.settings, self._poster, self._store, self._resumes = settings, poster, store, resumes
        self.documents = settings.documents

    async def ask(self, query_id: str, query: str, texts: Sequence[str]) -> list[Answer]:
        """The answers whose scores, one after the other, are those of `texts`.

        Raises `InputError` for an endpoint that refuses, `CheckFailed` for an answer that cannot be used and
        for one that never came; both name the address and the query.
        """
        answers: list[Answer] = []
        place = 0
        while place < len(texts):
            part = texts[place : place + self.documents]
            try:
                answers.append(await self._request(query_id, query, part))
            except TooLarge as error:
                if len(part) == 1:
                    raise InputError(
                        f"{self._at(query_id)}: {error}; even a single document is too much for it"
                    ) from None
                self.documents = min(self.documents, max(1, len(part) // 2))
            else:
                place += len(part)
        return answers

    async def _request(self, query_id: str, query: str, texts: Sequence[str]) -> Answer:
        settings = self.settings
        key = request_key(settings.url, settings.style.name, settings.model, query, texts)
        kept = self._store.find(key, len(texts))
        if kept is not None:
            return kept
        try:
            response = await self._poster.post(request_body(settings.style, settings.model, query, texts))
            payload = read_json(response.body, response.media_type, settings.key)
            scores = scores_of(settings.style, payload, len(texts))
        except Refused as error:
            raise InputError(f"{self._at(query_id)}: {error}") from None
        except GaveUp as error:
            raise CheckFailed(
                f"{self._at(query_id)}: found {error}; expected an answer; "
                + (
                    "the answers before it are kept: the same command goes on from there, with --attempts, "
                    "--timeout-seconds or a lower --concurrency where the endpoint is slow"
                    if self._resumes
                    else "--timeout-seconds or a lower --concurrency help where the endpoint is slow"
                )
            ) from None
        except BadAnswer as error:
            raise CheckFailed(
                f"{self._at(query_id)}: {self._redacted(str(error))}. It was not counted; mend the "
                f"endpoint, and the same command {'goes on from there' if self._resumes else 'begins again'}"
            ) from None
        billed = billing(payload)
        answer = Answer(tuple(scores), response.milliseconds, response.failures, billed.tokens, billed.units)
        self._store.keep(key, answer)
        return answer

    def _at(self, query_id: str) -> str:
        return f"{shown(self.settings.url)}: query {query_id!r}"

    def _redacted(self, text: str) -> str:
        return text.replace(self.settings.key, "***") if self.settings.key else text

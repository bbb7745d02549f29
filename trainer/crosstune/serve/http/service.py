"""Scoring behind all wire formats: limits, length rule, queue, time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from crosstune.serve.given import MOST_CHARACTERS
from crosstune.serve.http.batcher import Batcher, Pair, Ticket
from crosstune.serve.http.exchange import CURRENT
from crosstune.serve.http.metrics import Metrics
from crosstune.serve.http.model import Engine
from crosstune.serve.http.options import Options
from crosstune.serve.http.refusal import Refusal
from crosstune.serve.http.searched import Searched
from crosstune.serve.ranked import Score

CHARACTERS = 3
"""Of a token, for the estimate that decides before anything is tokenised."""
SHOWN = 200

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lengths:
    """What a request asks beyond the model's own length rule.

    `document_tokens`: the most of a document; `pair_tokens`: of a whole pair; `refuse`: a text that would
    be cut is an error.
    """

    document_tokens: int | None = None
    pair_tokens: int | None = None
    refuse: bool = False


@dataclass(frozen=True)
class Hit:
    """`score`: the calibrated probability where the export has one, else the sigmoid of `logit`."""

    index: int
    score: float
    logit: float


@dataclass(frozen=True)
class Answer:
    """`hits`: best first, equal logits in the order given, or in the order of the pairs; `tokens`: ids fed
    to the model, of all windows; `cut`: pairs that were shortened."""

    model: str
    hits: list[Hit]
    tokens: int
    cut: int


@dataclass(frozen=True)
class ScoredPairs:
    """`scores`: in the order of the pairs, by `engine`; `tokens`, `cut`: as of `Answer`."""

    engine: Engine
    scores: Sequence[Score]
    tokens: int
    cut: int


NO_LENGTHS = Lengths()


class Service:
    """The models by name, and the way from a request's texts to scores."""

    def __init__(
        self, engines: Mapping[str, Engine], options: Options, searched: Searched | None = None
    ) -> None:
        """`searched`: the collection that the demo page searches."""
        self.engines = dict(engines)
        self.options = options
        self.searched = searched
        self.metrics = Metrics()
        self.batcher = Batcher(options, self.metrics)
        self.draining = False
        self.reload_errors: dict[str, str] = {}
        self._tokenizing = ThreadPoolExecutor(2, thread_name_prefix="tokenize")

    @property
    def default_model(self) -> str:
        return next(iter(self.engines))

    def engine(self, name: str | None) -> Engine:
        """Raises `Refusal` for a model that is not served; no name is the first one's."""
        engine = self.engines.get(self.default_model if name is None else name)
        if engine is None:
            raise Refusal("model", f"no such model; this service has {', '.join(self.engines)}")
        return engine

    async def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        model: str | None = None,
        top: int | None = None,
        lengths: Lengths = NO_LENGTHS,
        priority: int = 0,
    ) -> Answer:
        """The documents of one query, best first, at most `top`."""
        pairs = [(query, document) for document in documents]
        answer = await self.score(pairs, model=model, lengths=lengths, priority=priority)
        best = sorted(answer.hits, key=lambda hit: -hit.logit)
        return Answer(answer.model, best[:top], answer.tokens, answer.cut)

    async def score(
        self,
        pairs: Sequence[Pair],
        *,
        model: str | None = None,
        lengths: Lengths = NO_LENGTHS,
        priority: int = 0,
    ) -> Answer:
        """Each pair's numbers, in the order given. Raises `Refusal`."""
        scored = await self.scored(pairs, model=model, lengths=lengths, priority=priority)
        hits = [Hit(index, score.shown, score.logit) for index, score in enumerate(scored.scores)]
        return Answer(scored.engine.name, hits, scored.tokens, scored.cut)

    async def scored(
        self,
        pairs: Sequence[Pair],
        *,
        model: str | None = None,
        lengths: Lengths = NO_LENGTHS,
        priority: int = 0,
    ) -> ScoredPairs:
        """The same with all that the reranker says of each pair, and the model that said it."""
        engine = self.engine(model)
        exchange = CURRENT.get()
        exchange.details |= {"model": engine.name, "documents": len(pairs)}
        if self.options.log_texts and pairs:
            exchange.details |= {
                "query": pairs[0][0][:SHOWN],
                "texts": [text[:SHOWN] for _, text in pairs[:5]],
            }
        self._check_count(pairs)
        return await self.in_time(self._score(engine, pairs, lengths, priority))

    async def in_time(self, work: Awaitable[Result]) -> Result:
        """Raises `Refusal` when the work has not ended within the time for an answer."""
        try:
            return await asyncio.wait_for(work, self.options.timeout_seconds)
        except asyncio.TimeoutError:
            raise Refusal(
                "timeout",
                f"no answer within {self.options.timeout_seconds:g} s; try again later",
                retry_after=max(1, round(self.batcher.queued_seconds)),
            ) from None

    def close(self) -> None:
        self.batcher.close()
        self._tokenizing.shutdown(wait=False, cancel_futures=True)

    def _check_count(self, pairs: Sequence[Pair]) -> None:
        if not pairs:
            raise Refusal("empty", "there are no documents; at least one was expected")
        if len(pairs) > self.options.max_documents:
            raise Refusal(
                "too_many",
                f"{len(pairs)} documents; at most {self.options.max_documents} are taken a request",
            )
        longest = max(len(text) for pair in pairs for text in pair)
        if longest > MOST_CHARACTERS:
            raise Refusal("too_long", f"a text of {longest} characters; at most {MOST_CHARACTERS} are taken")

    async def _score(
        self, engine: Engine, pairs: Sequence[Pair], lengths: Lengths, priority: int
    ) -> ScoredPairs:
        with self.batcher.admit(engine, _estimate(engine, pairs)) as ticket:
            prepared = await asyncio.get_running_loop().run_in_executor(
                self._tokenizing, _prepare, engine, pairs, lengths
            )
            return await self._submit(ticket, engine, prepared, priority)

    async def _submit(self, ticket: Ticket, engine: Engine, prepared: Prepared, priority: int) -> ScoredPairs:
        scored = await self.batcher.score(ticket, engine, prepared.pairs, prepared.lengths, priority)
        tokens = sum(prepared.lengths)
        exchange = CURRENT.get()
        exchange.queue_seconds, exchange.score_seconds = scored.queue_seconds, scored.score_seconds
        exchange.details |= {"tokens": tokens, "windowed": prepared.windowed, "cut": prepared.cut}
        self.metrics.documents(engine.name, len(prepared.pairs), prepared.windowed, prepared.cut)
        return ScoredPairs(engine, scored.scores, tokens, prepared.cut)


@dataclass(frozen=True)
class Prepared:
    """`lengths`: ids of each pair by the length rule; `windowed`: pairs of several windows; `cut`: pairs that
    lost a part."""

    pairs: Sequence[Pair]
    lengths: list[int]
    windowed: int
    cut: int


def _estimate(engine: Engine, pairs: Sequence[Pair]) -> int:
    """Tokens, from the texts' lengths alone."""
    return sum(engine.rule.ids(len(query) // CHARACTERS, len(text) // CHARACTERS) for query, text in pairs)


def _prepare(engine: Engine, pairs: Sequence[Pair], lengths: Lengths) -> Prepared:
    shortened = _shorten(engine, pairs, lengths)
    encoded = engine.encoder.encode(shortened)
    cut = [
        pair.cut_query > 0 or pair.cut_passage > 0 or before is not after
        for pair, (_, before), (_, after) in zip(encoded, pairs, shortened, strict=True)
    ]
    if lengths.refuse and any(cut):
        raise Refusal(
            "too_long",
            f"document {cut.index(True)} with its query is longer than {_most(engine)}; allow truncation or "
            "send less",
        )
    windowed = sum(bool(pair.further) for pair in encoded)
    return Prepared(shortened, [sum(pair.lengths) for pair in encoded], windowed, sum(cut))


def _most(engine: Engine) -> str:
    tokens = f"the model's {engine.rule.max_tokens} tokens"
    windows = engine.rule.windows
    return tokens if windows is None else f"{windows.most} windows of {tokens}"


def _shorten(engine: Engine, pairs: Sequence[Pair], lengths: Lengths) -> Sequence[Pair]:
    """Cuts documents to the tokens that the request allows, where that is less than the model's own."""
    most = engine.rule.reach
    if (lengths.document_tokens or most) >= most and (lengths.pair_tokens or most) >= most:
        return pairs
    longest = engine.rule.characters
    queries = list(dict.fromkeys(query for query, _ in pairs))
    query_words = engine.encoder.words([query[:longest] for query in queries])
    sizes = {query: len(words.ids) for query, words in zip(queries, query_words, strict=True)}
    words = engine.encoder.words([text[:longest] for _, text in pairs])
    result = []
    for (query, text), encoding in zip(pairs, words, strict=True):
        room = most if lengths.document_tokens is None else lengths.document_tokens
        if lengths.pair_tokens is not None:
            size = min(sizes[query], engine.rule.max_query_tokens)
            room = min(room, lengths.pair_tokens - engine.special - size)
        if room < 1:
            raise Refusal("invalid", "the query leaves no room for a document in the tokens asked for")
        cut = len(encoding.ids) > room
        result.append((query, engine.encoder.cut(text[:longest], encoding, room) if cut else text))
    return result

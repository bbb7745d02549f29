"""The candidates of a run through an endpoint: several queries at once, in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from crosstune.endpoints.http import poster
from crosstune.endpoints.kept import kept_answers
from crosstune.endpoints.load import Load
from crosstune.progress import progress
from crosstune.records import Run
from crosstune.rerankers.endpoint import Endpoint
from crosstune.rerankers.rerank import Job, Reranked
from crosstune.rerankers.settings import EndpointSettings
from crosstune.rerankers.store import Answer, AnswerStore


def rerank_by_endpoint(settings: EndpointSettings, jobs: Sequence[Job], load: Load, store: Path) -> Reranked:
    """Asks an endpoint; what it answers is kept in the file `store` at once, so that a stopped call goes on.

    Raises what `Endpoint.ask` raises.
    """
    with kept_answers(store, fresh=load.fresh) as kept:

        async def work() -> Reranked:
            async with poster(settings.url, settings.key, load) as opened:
                endpoint = Endpoint(settings, opened, AnswerStore(kept), resumes=load.resumes)
                return await _ask_all(endpoint, jobs, load.concurrency)

        return asyncio.run(work())


async def _ask_all(endpoint: Endpoint, jobs: Sequence[Job], concurrency: int) -> Reranked:
    scores: Run = {job.query_id: {} for job in jobs}
    answers: list[Answer] = []
    waiting = iter(jobs)
    with progress(f"{endpoint.settings.label}, queries", len(jobs)) as advance:

        async def worker(queue: Iterator[Job]) -> None:
            for job in queue:
                found = await endpoint.ask(job.query_id, job.query, job.texts())
                values = [score for answer in found for score in answer.scores]
                scores[job.query_id] = dict(zip(job.doc_ids, values, strict=True))
                answers.extend(found)
                advance(1)

        tasks = [asyncio.create_task(worker(waiting)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return Reranked(scores, tuple(answers), endpoint.documents)

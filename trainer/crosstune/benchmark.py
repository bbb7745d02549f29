"""What `crosstune evaluate --endpoint` and `--reranker` do: others' rerankers on one's own queries."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosstune.assessment import chosen_measures
from crosstune.cache import cache_folder
from crosstune.endpoints.load import Load
from crosstune.errors import InputError, MissingExtra
from crosstune.evaluate.assess import CEILING, DEPTHS, FIRST_STAGE, Question, assess, notes
from crosstune.evaluate.folder import check_writable, write_evaluation
from crosstune.evaluate.ids import check_shared
from crosstune.evaluate.measures import in_order
from crosstune.files import find_file
from crosstune.label_sources import warn_generated
from crosstune.progress import say
from crosstune.qrels_files import split_file
from crosstune.records import Qrels, Run, Split
from crosstune.rerankers.libraries import Library, open_library
from crosstune.rerankers.rerank import Job, Reranked, rerank_by_library, with_rest
from crosstune.rerankers.settings import EndpointSettings
from crosstune.rerankers.usage import Usage, usage
from crosstune.serve.bulk.texts import Texts, texts_on_disk
from crosstune.trec import read_qrels, read_run_file, read_run_lines, write_run

DEPTH = 100


@dataclass(frozen=True)
class Request:
    """The words of the command line. `libraries`: label -> `PACKAGE:NAME`. The texts are those of
    `collection` with `split`, or of `queries`, `corpus` and `qrels`."""

    run: Path
    endpoints: tuple[EndpointSettings, ...]
    libraries: Mapping[str, str]
    collection: str | None
    split: Split
    queries: Path | None
    corpus: Path | None
    qrels: Path | None
    measures: tuple[str, ...]
    relevant_from: int | None
    depth: int
    load: Load
    write_run: Path | None
    out: Path | None
    seed: int
    resamples: int


@dataclass(frozen=True)
class _Files:
    queries: Path
    corpus: Path
    qrels: Path


def benchmark(request: Request) -> dict[str, Any]:
    """The metrics of the first stage, each reranker and the ceiling, with what each reranker took.

    Raises `InputError` for whatever cannot be used, before anything is asked where that can be told, and
    `CheckFailed` for answers that cannot be counted.
    """
    measures = chosen_measures(request.measures, request.relevant_from)
    labels = [*(endpoint.label for endpoint in request.endpoints), *request.libraries]
    _check_labels(labels)
    _check_outputs(request, labels)
    if request.endpoints:
        _check_installed()
    libraries = {label: open_library(spec) for label, spec in request.libraries.items()}
    file = read_run_file(request.run)
    with tempfile.TemporaryDirectory(prefix="crosstune-") as scratch:
        files = _files(request, Path(scratch))
        qrels = read_qrels(files.qrels)
        warn_generated(files.qrels)
        check_shared(qrels, file.run, str(files.qrels), str(request.run), {})
        candidates = {query_id: file.run[query_id] for query_id in qrels if query_id in file.run}
        with _jobs(request, files, candidates, Path(scratch)) as jobs:
            reranked = _rerank(request, libraries, jobs)
    systems = {
        FIRST_STAGE: candidates,
        **{label: with_rest(candidates, found.scores, in_order) for label, found in reranked.items()},
    }
    split = request.split if request.collection else "run"
    question = Question(measures, DEPTHS, {}, request.seed, request.resamples, request.relevant_from or 1)
    assessment = assess(qrels, systems, split, question)
    settings = {endpoint.label: endpoint for endpoint in request.endpoints}
    taken = {label: usage(found.answers, settings.get(label)) for label, found in reranked.items()}
    metrics = assessment.metrics | {
        "system": labels[-1],
        "reranked_depth": request.depth,
        "rerankers": {label: asdict(figures) for label, figures in taken.items()},
        "notes": [
            *file.notes,
            *notes(qrels, {FIRST_STAGE: file.run}, measures),
            *_notes(request, reranked, taken, settings),
        ],
    }
    _write(request, metrics, assessment.values, qrels, {label: systems[label] for label in labels})
    return metrics


def _check_labels(labels: Sequence[str]) -> None:
    names: dict[str, str] = {}
    for label in labels:
        other = names.setdefault(_file_name(label), label)
        if label in (FIRST_STAGE, CEILING) or labels.count(label) > 1 or other != label:
            raise InputError(
                f"{label!r} would name two rows of the table; give each a name of its own: "
                "--endpoint NAME=URL, --reranker NAME=PACKAGE:NAME"
            )


def _check_outputs(request: Request, labels: Sequence[str]) -> None:
    if request.out is not None:
        if len(labels) > 1:
            raise InputError(
                f"--out {request.out}: such a folder holds one run and {len(labels)} rerankers were named; "
                "write the runs with --write-run FOLDER"
            )
        check_writable(request.out)
    path = request.write_run
    if path is not None and path.is_dir() != (len(labels) > 1) and path.exists():
        wanted = "a folder for several runs" if len(labels) > 1 else "a file"
        raise InputError(f"--write-run {path}: {wanted} was expected; name another place")


def _check_installed() -> None:
    try:
        import crosstune.rerankers.ask  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(f"--endpoint (module {error.name})", "endpoints") from None


def _files(request: Request, scratch: Path) -> _Files:
    if request.collection is not None:
        from crosstune.data import prepare_collection

        if request.queries or request.corpus:
            raise InputError("--collection has its own queries and corpus; leave --queries and --corpus out")
        folder = prepare_collection(request.collection, scratch / "collection", to_train=False)
        qrels = request.qrels or split_file(folder / "qrels", request.split)
        return _Files(find_file(folder / "queries.jsonl"), find_file(folder / "corpus.jsonl"), qrels)
    if not (request.queries and request.corpus and request.qrels):
        raise InputError(
            "the texts to rerank are needed: give --collection beir:PATH, or --queries, --corpus and --qrels"
        )
    return _Files(request.queries, request.corpus, request.qrels)


@contextmanager
def _jobs(request: Request, files: _Files, candidates: Run, scratch: Path) -> Iterator[list[Job]]:
    """Each judged query with its best candidates; their texts lie on disk until it is their turn."""
    best = {query_id: tuple(in_order(scores)[: request.depth]) for query_id, scores in candidates.items()}
    wanted = {query_id: frozenset(doc_ids) for query_id, doc_ids in best.items()}
    with texts_on_disk(scratch / "texts.sqlite") as texts:
        for number, query_id, doc_id, _ in read_run_lines(request.run):
            if doc_id in wanted.get(query_id, ()):
                texts.want("queries", query_id, number)
                texts.want("documents", doc_id, number)
        texts.read("queries", files.queries, request.run)
        texts.read("documents", files.corpus, request.run)
        yield [
            Job(query_id, texts.get("queries", query_id), doc_ids, _reader(texts, doc_ids))
            for query_id, doc_ids in best.items()
        ]


def _reader(texts: Texts, doc_ids: Sequence[str]) -> Any:
    return lambda: [texts.get("documents", doc_id) for doc_id in doc_ids]


def _rerank(request: Request, libraries: Mapping[str, Library], jobs: Sequence[Job]) -> dict[str, Reranked]:
    found: dict[str, Reranked] = {}
    for endpoint in request.endpoints:
        from crosstune.rerankers.ask import rerank_by_endpoint

        say(f"{endpoint.label}: {len(jobs)} queries, the best {request.depth} candidates of each")
        found[endpoint.label] = rerank_by_endpoint(endpoint, jobs, request.load, answers_path())
    for label, library in libraries.items():
        say(f"{label}: {len(jobs)} queries, the best {request.depth} candidates of each")
        found[label] = rerank_by_library(request.libraries[label], library, jobs)
    return found


def answers_path() -> Path:
    """Where the answers of endpoints are kept."""
    return cache_folder("rerankers") / "answers.sqlite"


def _notes(
    request: Request,
    reranked: Mapping[str, Reranked],
    taken: Mapping[str, Usage],
    settings: Mapping[str, EndpointSettings],
) -> Iterator[str]:
    for label, figures in taken.items():
        if figures.kept:
            yield (
                f"{label}: {figures.kept} of {figures.requests} answers are from earlier calls "
                f"({answers_path()}); --fresh asks again, which a changed model behind it needs"
            )
        endpoint = settings.get(label)
        if endpoint is None:
            continue
        documents = reranked[label].documents
        if documents is not None and documents < endpoint.documents:
            yield f"{label}: takes fewer documents than {endpoint.documents} a request; {documents} were sent"
        if endpoint.per_million_tokens is not None and figures.price is None:
            yield f"{label}: no price, because its answers do not say how many tokens they cost"
    if request.load.concurrency > 1 and request.endpoints:
        yield (
            f"times are of up to {request.load.concurrency} requests at once; --concurrency 1 measures one "
            "alone"
        )


def _write(
    request: Request,
    metrics: Mapping[str, Any],
    values: Mapping[str, Any],
    qrels: Qrels,
    runs: Mapping[str, Run],
) -> None:
    path = request.write_run
    for label, run in runs.items():
        if request.out is not None:
            write_evaluation(request.out, metrics, values, qrels, run)
        if path is not None:
            write_run(path / f"{_file_name(label)}.trec" if len(runs) > 1 else path, run, "crosstune")


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.-]+", "_", label)

"""A file of pairs in, a line a pair out, in slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import COMPRESSED, read_lines, sha256_file
from crosstune.progress import progress, say
from crosstune.serve.bulk.engines import open_engine
from crosstune.serve.bulk.output import PartFile
from crosstune.serve.bulk.pairs import DEFAULT_FIELDS, Fields, JsonlPairs, Pair, PairSource, ParquetPairs
from crosstune.serve.bulk.runs import RunPairs
from crosstune.serve.bulk.texts import texts_on_disk
from crosstune.serve.ranked import Score
from crosstune.serve.seal import MANIFEST

SLICE_PAIRS = 512
SLICE_CHARACTERS = 4_000_000
"""Scored and written together: what a kill loses at most, beside the query that a run is in."""


@dataclass(frozen=True)
class ScoreRequest:
    """`queries` and `corpus` (BEIR's JSONL) for a TREC run alone, `fields` for the other files. `engine`:
    `local` or `ray`, with `workers` processes; the output is the same."""

    export: Path
    pairs: Path
    out: Path
    queries: Path | None = None
    corpus: Path | None = None
    fields: Fields = DEFAULT_FIELDS
    backend: str = "auto"
    overwrite: bool = False
    engine: str = "local"
    workers: int | None = None


@dataclass(frozen=True)
class ScoreSummary:
    """`pairs`: all of the file; `scored`: by this call; `kept`: by earlier ones that were stopped; of those
    scored, `windowed`: read in several windows, and `cut`: shortened by the length rule."""

    pairs: int
    scored: int
    kept: int
    windowed: int
    cut: int
    out: str


def score_file(request: ScoreRequest) -> ScoreSummary:
    """Checks the whole input, then scores it slice by slice. A call that follows a stopped one goes on where
    the output ends.

    Raises `InputError` with file and line for bad input, before anything is scored.
    """
    out = request.out
    _check_out(request)
    out.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        engine = stack.enter_context(
            open_engine(request.engine, request.export, request.backend, request.workers)
        )
        source = _open_source(request, stack)
        made_from = _made_from(request, engine.backend)
        kept, append = stack.enter_context(PartFile(out).opened(made_from, source.whole))
        if kept:
            say(f"{out}: goes on after {kept} of {source.total} pairs")
        windowed = cut = 0
        with progress("score, pairs", source.total - kept) as advance:
            waiting: list[tuple[Pair, Score]] = []
            place = kept
            for part, scores in engine.scored(_slices(source.pairs(kept))):
                windowed += sum(score.window is not None for score in scores)
                cut += sum(score.cut for score in scores)
                waiting += zip((_without_texts(pair) for pair in part), scores, strict=True)
                ready = _whole(waiting, len(part))
                append(source.lines(place, [p for p, _ in waiting[:ready]], [s for _, s in waiting[:ready]]))
                place += ready
                del waiting[:ready]
                advance(len(part))
    return ScoreSummary(source.total, source.total - kept, kept, windowed, cut, str(out))


def _check_out(request: ScoreRequest) -> None:
    """Raises `InputError` where writing it would cost what must stay."""
    out = request.out
    if out.suffix in (*COMPRESSED, ".parquet"):
        raise InputError(f"{out}: the output is plain lines that grow; name it without {out.suffix}")
    if out.resolve().is_relative_to(request.export.resolve()):
        raise InputError(
            f"{out}: lies in the export, whose files would no longer be what was exported; write it elsewhere"
        )
    for path in (*PartFile(out).written, _database(out)):
        if path.is_dir():
            raise InputError(f"{path}: is a folder; a file is written there: name another --out")
        for name, given in _inputs(request).items():
            if path.exists() and given.exists() and path.samefile(given):
                raise InputError(
                    f"{out}: writing it would replace {given}, which is read as --{name}; name another --out"
                )
    if out.exists() and not request.overwrite:
        raise InputError(f"{out}: is there already; --overwrite replaces it")


def _inputs(request: ScoreRequest) -> dict[str, Path]:
    given = {"pairs": request.pairs, "queries": request.queries, "corpus": request.corpus}
    return {name: path for name, path in given.items() if path}


def _database(out: Path) -> Path:
    return out.with_name(f".{out.name}.texts.sqlite")


def _open_source(request: ScoreRequest, stack: ExitStack) -> PairSource:
    """Recognises the file by what it holds, not by its name."""
    path, queries, corpus = request.pairs, request.queries, request.corpus
    first = next((line for _, line in _first_lines(path) if line.strip()), "")
    if not first:
        raise InputError(f"{path}: is empty; pairs were expected: JSONL, Parquet or a TREC run")
    is_run = first != "PAR1" and not first.lstrip().startswith(("{", "[", '"'))
    if not is_run:
        if queries or corpus:
            raise InputError(f"{path}: holds its own texts; --queries and --corpus belong to a TREC run")
        kind = ParquetPairs if first == "PAR1" else JsonlPairs
        return kind(path, request.fields)
    if not (queries and corpus):
        raise InputError(f"{path}: is no JSONL and no Parquet; a TREC run needs --queries and --corpus")
    if request.fields != DEFAULT_FIELDS:
        raise InputError(f"{path}: a TREC run takes no --query-field, --document-field and --keep")
    texts = stack.enter_context(texts_on_disk(_database(request.out)))
    return RunPairs(path, queries, corpus, texts)


def _first_lines(path: Path) -> Iterator[tuple[int, str]]:
    if path.is_file():
        with path.open("rb") as handle:
            if handle.read(4) == b"PAR1":
                return iter([(1, "PAR1")])
    return read_lines(path)


def _made_from(request: ScoreRequest, backend: str) -> dict[str, object]:
    return {
        "schema": 3,
        "export": sha256_file(request.export / MANIFEST),
        "backend": backend,
        **{name: sha256_file(path) for name, path in _inputs(request).items()},
        "fields": [request.fields.query, request.fields.document, *request.fields.keep],
    }


def _slices(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    part: list[Pair] = []
    characters = 0
    for pair in pairs:
        part.append(pair)
        characters += len(pair.query) + len(pair.document)
        if len(part) == SLICE_PAIRS or characters >= SLICE_CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part


def _without_texts(pair: Pair) -> Pair:
    """What waits for the end of its query waits without its texts."""
    return Pair("", "", pair.kept, pair.last)


def _whole(waiting: list[tuple[Pair, Score]], new: int) -> int:
    """How many pairs, from the first on, make whole output; before the `new` ones none did."""
    old = len(waiting) - new
    return next((n for n in range(len(waiting), old, -1) if waiting[n - 1][0].last), 0)

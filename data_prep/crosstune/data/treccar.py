"""TREC-CAR v2.0 as a source of training pairs and of candidates to rerank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from crosstune.data.judged_lists import JudgedLists
from crosstune.data.paragraph_index import build_index, open_index
from crosstune.data.reproduction_settings import TrecCarFiles
from crosstune.data.treccar_files import topic_text
from crosstune.errors import InputError
from crosstune.records import Candidate, Example, Qrels, Run
from crosstune.trec import read_qrels, read_run_lines

RUNS = ("train_run", "dev_run", "test_run")


@dataclass(frozen=True)
class TrecCar:
    """The files below `folder`; `made`: where the index of the paragraphs is written. The paragraphs stay on
    disk, judgements are held in memory (some 2 GB for the four folds)."""

    files: TrecCarFiles
    folder: Path
    made: Path

    def paths(self) -> dict[str, Path]:
        """Every file that is read, by its key in the settings."""
        files = self.files
        names = {key: getattr(files, key) for key in ("paragraphs", *RUNS, "dev_qrels", "test_qrels")}
        folds = {f"train_qrels {number}": name for number, name in enumerate(files.train_qrels)}
        return {key: self.folder / name for key, name in (names | folds).items()}

    def check(self) -> dict[str, int]:
        """Builds the index of the paragraphs and returns the files' sizes in bytes, by key.

        Raises `InputError` for a file that is missing, empty or not of its format, and when the first
        candidates of a run are not judged or not among the paragraphs.
        """
        paths = self.paths()
        for key in RUNS:
            if next(read_run_lines(paths[key]), None) is None:
                raise InputError(
                    f"{paths[key]}: is empty; a TREC run was expected: qid Q0 docno rank score tag"
                )
        build_index(paths["paragraphs"], self._index)
        next(self.examples())
        for part in self.lists():
            next(part.candidates())
        return {key: path.stat().st_size for key, path in paths.items()}

    def examples(self) -> Iterator[Example]:
        """For each topic of the training run, in the order of the file, its first `train_depth` candidates;
        relevant is what the folds' judgements name. No positive is added that BM25 missed."""
        relevant = _relevant([self.paths()[f"train_qrels {n}"] for n in range(len(self.files.train_qrels))])
        for row in self._candidates(self.paths()["train_run"], self.files.train_depth):
            yield Example(row.query, row.passage, int(row.doc_id in relevant.get(row.query_id, ())))

    def lists(self) -> list[JudgedLists]:
        """Dev (fold 4, its first queries) and test, which the published figure is of."""
        paths, files = self.paths(), self.files
        dev, test = read_qrels(paths["dev_qrels"]), read_qrels(paths["test_qrels"])
        drawn = self._first_queries(paths["dev_run"], files.dev_queries)
        return [
            self._part("dev", {q: dev[q] for q in drawn if q in dev}, files.dev_depth),
            self._part("test", test, files.test_depth),
        ]

    @property
    def _index(self) -> Path:
        return self.made / "paragraphs"

    def _part(self, split: str, qrels: Qrels, depth: int) -> JudgedLists:
        path = self.paths()[f"{split}_run"]

        def first_stage() -> Run:
            run: Run = {}
            for _, query_id, doc_id, score in _first(path, depth):
                if query_id in qrels:
                    run.setdefault(query_id, {})[doc_id] = score
            return run

        def candidates() -> Iterator[Candidate]:
            judged = (row for row in self._candidates(path, depth) if row.query_id in qrels)
            first = next(judged, None)
            if first is None:
                raise InputError(f"{path}: no topic of it is judged in {self.paths()[f'{split}_qrels']}")
            yield first
            yield from judged

        def count() -> int:
            return sum(1 for row in _first(path, depth) if row[1] in qrels)

        return JudgedLists(split, qrels, candidates, count, first_stage)

    def _candidates(self, run: Path, depth: int) -> Iterator[Candidate]:
        with open_index(self.paths()["paragraphs"], self._index) as index:
            for number, query_id, doc_id, _ in _first(run, depth):
                text = index.text(doc_id, f"{run}:{number}")
                yield Candidate(query_id, doc_id, topic_text(query_id), text)

    def _first_queries(self, run: Path, count: int | None) -> list[str]:
        return list(
            islice((query for query, _ in groupby(read_run_lines(run), key=lambda row: row[1])), count)
        )


def _first(run: Path, depth: int) -> Iterator[tuple[int, str, str, float]]:
    """The first `depth` lines of each topic. Raises `InputError` where a topic's lines stand apart."""
    seen: set[str] = set()
    for query_id, rows in groupby(read_run_lines(run), key=lambda row: row[1]):
        first = list(islice(rows, depth))
        if query_id in seen:
            raise InputError(
                f"{run}:{first[0][0]}: topic {query_id} comes back after others; the lines of a topic must "
                f"stand together: sort -s -k1,1 {run.name}"
            )
        seen.add(query_id)
        yield from first


def _relevant(paths: Sequence[Path]) -> dict[str, set[str]]:
    """Topic -> relevant paragraphs, of all files together."""
    relevant: dict[str, set[str]] = {}
    for path in paths:
        for query_id, grades in read_qrels(path).items():
            relevant.setdefault(query_id, set()).update(doc for doc, grade in grades.items() if grade >= 1)
    return relevant

"""TREC-CAR v2.0 as a source of training pairs and of candidates to rerank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from crosstune.data.judged_lists import JudgedLists
from crosstune.data.paragraph_index import build_index, open_index
from crosstune.data.reproduction_settings import TrecCarFiles
from crosstune.data.treccar_files import topic_text
from crosstune.errors import InputError
from crosstune.files import file_states
from crosstune.records import Candidate, Example, Qrels, Run
from crosstune.trec import read_qrels, read_run_lines

Row = tuple[int, str, str, float]
"""Line number, topic, paragraph, score."""
TRAINING = ("paragraphs", "train_run", "train_qrels")
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

    def training_inputs(self) -> list[object]:
        """What decides the training pairs: evaluation's files may be mended without training anew."""
        read = {key: path for key, path in self.paths().items() if key.split()[0] in TRAINING}
        return [self.files.model_dump(include={"folder", "train_depth", *TRAINING}), file_states(read)]

    def check(self) -> dict[str, int]:
        """Builds the index of the paragraphs and returns the files' sizes in bytes, by key.

        What evaluation reads is read wholly here, since its faults would else be found after hours of
        training. Raises `InputError` for a file that is missing, empty or not of its format, for any line of
        the dev and the test run that is not, for a candidate of theirs that is not among the paragraphs or
        that a topic lists twice, and when no topic of a run is judged.
        """
        paths = self.paths()
        for key in RUNS:
            if next(read_run_lines(paths[key]), None) is None:
                raise InputError(
                    f"{paths[key]}: is empty; a TREC run was expected: qid Q0 docno rank score tag"
                )
        build_index(paths["paragraphs"], self._index)
        next(self.examples())
        with open_index(paths["paragraphs"], self._index) as index:
            for part in self._parts():
                for number, _, doc_id, _ in part.rows():
                    index.place(doc_id, f"{part.run}:{number}")
        return {key: path.stat().st_size for key, path in paths.items()}

    def examples(self) -> Iterator[Example]:
        """For each topic of the training run, in the order of the file, its first `train_depth` candidates;
        relevant is what the folds' judgements name. No positive is added that BM25 missed."""
        relevant = _relevant([self.paths()[f"train_qrels {n}"] for n in range(len(self.files.train_qrels))])
        run = self.paths()["train_run"]
        for row in self._with_texts(run, _first(run, self.files.train_depth)):
            yield Example(row.query, row.passage, int(row.doc_id in relevant.get(row.query_id, ())))

    def lists(self) -> list[JudgedLists]:
        """Dev (fold 4, its first queries) and test, which the published figure is of."""
        return [
            JudgedLists(part.split, part.qrels, partial(self._candidates, part), part.count, part.first_stage)
            for part in self._parts()
        ]

    def _parts(self) -> list[_Part]:
        paths, files = self.paths(), self.files
        dev, test = read_qrels(paths["dev_qrels"]), read_qrels(paths["test_qrels"])
        drawn = self._first_queries(paths["dev_run"], files.dev_queries)
        first = {q: dev[q] for q in drawn if q in dev}
        return [
            _Part("dev", paths["dev_run"], files.dev_depth, first, paths["dev_qrels"]),
            _Part("test", paths["test_run"], files.test_depth, test, paths["test_qrels"]),
        ]

    @property
    def _index(self) -> Path:
        return self.made / "paragraphs"

    def _candidates(self, part: _Part) -> Iterator[Candidate]:
        return self._with_texts(part.run, part.rows())

    def _with_texts(self, run: Path, rows: Iterator[Row]) -> Iterator[Candidate]:
        with open_index(self.paths()["paragraphs"], self._index) as index:
            for number, query_id, doc_id, _ in rows:
                text = index.text(doc_id, f"{run}:{number}")
                yield Candidate(query_id, doc_id, topic_text(query_id), text)

    def _first_queries(self, run: Path, count: int | None) -> list[str]:
        return list(
            islice((query for query, _ in groupby(read_run_lines(run), key=lambda row: row[1])), count)
        )


@dataclass(frozen=True)
class _Part:
    """A split: the first `depth` candidates in `run` of the topics in `qrels`, which `judged` names."""

    split: str
    run: Path
    depth: int
    qrels: Qrels
    judged: Path

    def rows(self) -> Iterator[Row]:
        """Raises `InputError` as `_first`, where a topic lists a paragraph twice, and where no topic of the
        run is judged."""
        listed = _listed_once(self.run, _first(self.run, self.depth))
        rows = (row for row in listed if row[1] in self.qrels)
        first = next(rows, None)
        if first is None:
            raise InputError(f"{self.run}: no topic of it is judged in {self.judged}")
        yield first
        yield from rows

    def count(self) -> int:
        return sum(1 for _ in self.rows())

    def first_stage(self) -> Run:
        run: Run = {}
        for _, query_id, doc_id, score in self.rows():
            run.setdefault(query_id, {})[doc_id] = score
        return run


def _first(run: Path, depth: int) -> Iterator[Row]:
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


def _listed_once(run: Path, rows: Iterator[Row]) -> Iterator[Row]:
    for query_id, group in groupby(rows, key=lambda row: row[1]):
        lines: dict[str, int] = {}
        for row in group:
            number, _, doc_id, _ = row
            if lines.setdefault(doc_id, number) != number:
                raise InputError(
                    f"{run}:{number}: paragraph {doc_id} is listed twice for topic {query_id}, first on line "
                    f"{lines[doc_id]}; a ranking holds each once. To keep the first of each: "
                    f"awk '!seen[$1, $3]++' {run.name}"
                )
            yield row


def _relevant(paths: Sequence[Path]) -> dict[str, set[str]]:
    """Topic -> relevant paragraphs, of all files together."""
    relevant: dict[str, set[str]] = {}
    for path in paths:
        for query_id, grades in read_qrels(path).items():
            relevant.setdefault(query_id, set()).update(doc for doc, grade in grades.items() if grade >= 1)
    return relevant

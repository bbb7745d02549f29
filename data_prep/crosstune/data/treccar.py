"""TREC-CAR v2.0 as a source of training pairs and of candidates to rerank (trec-car-tools)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosstune.data.reproduction_settings import TrecCarFiles
from crosstune.errors import InputError, MissingExtra
from crosstune.files import read_lines
from crosstune.progress import progress
from crosstune.records import Candidate, Example, Qrels, Run, ranking
from crosstune.trec import read_run

PARAGRAPHS = "paragraphs.sqlite"
AT_ONCE = 10_000


@dataclass(frozen=True)
class TrecCar:
    """The files below `folder`; `made` holds the table of paragraphs that `check` fills."""

    files: TrecCarFiles
    folder: Path
    made: Path

    def paths(self) -> dict[str, Path]:
        """Every file that is read, by its key in the settings; a fold's qrels by `fold` and its number."""
        files = self.files
        names = {key: getattr(files, key) for key in ("paragraphs", "test_qrels", "train_run", "test_run")}
        names |= {f"fold{fold}": files.fold_qrels.format(fold=fold) for fold in files.train_folds}
        return {key: self.folder / name for key, name in names.items()}

    def check(self) -> dict[str, int]:
        """Writes the paragraphs that the runs name into a table on disk; sizes in bytes, by key.

        Raises `InputError` for a file that is missing or not of its format, and for paragraphs that a run
        names and the corpus lacks.
        """
        paths = self.paths()
        for path in paths.values():
            next(read_lines(path) if path.suffix != ".cbor" else _present(path), None)
        wanted = {doc for path in (paths["train_run"], paths["test_run"]) for doc in _documents(path)}
        found = write_paragraphs(paths["paragraphs"], self.made / PARAGRAPHS, wanted)
        if found < len(wanted):
            raise InputError(
                f"{paths['paragraphs']}: {len(wanted) - found} of the {len(wanted)} paragraphs that "
                "the runs name are not in it; the corpus is cut, or the runs are of another release"
            )
        return {key: path.stat().st_size for key, path in paths.items()}

    def examples(self) -> Iterator[Example]:
        """Each training query's best candidates, in the order of the run."""
        paths = self.paths()
        relevant: dict[str, set[str]] = {}
        for fold in self.files.train_folds:
            for topic, judged in read_hierarchical_qrels(paths[f"fold{fold}"]).items():
                relevant.setdefault(topic, set()).update(judged)
        for topic, doc_id, text in self._texts(paths["train_run"], self.files.train_depth):
            yield Example(query_text(topic), text, int(doc_id in relevant.get(topic, ())))

    def candidates(self) -> Iterator[Candidate]:
        """The candidates of the test queries, in the order of the run."""
        for topic, doc_id, text in self._texts(self.paths()["test_run"], self.files.test_depth):
            yield Candidate(topic, doc_id, query_text(topic), text)

    def candidate_count(self) -> int:
        return sum(len(scores) for scores in self.test_run().values())

    def test_qrels(self) -> Qrels:
        return read_hierarchical_qrels(self.paths()["test_qrels"])

    def test_run(self) -> Run:
        run = read_run(self.paths()["test_run"])
        return {
            topic: {d: scores[d] for d in ranking(scores)[: self.files.test_depth]}
            for topic, scores in run.items()
        }

    def _texts(self, run: Path, depth: int) -> Iterator[tuple[str, str, str]]:
        table = sqlite3.connect(f"file:{self.made / PARAGRAPHS}?mode=ro", uri=True)
        try:
            for topic, doc_ids in topics(run):
                for doc_id in doc_ids[:depth]:
                    row = table.execute("SELECT text FROM paragraphs WHERE id = ?", (doc_id,)).fetchone()
                    if row is None:
                        raise InputError(
                            f"{run}: topic {topic!r} names paragraph {doc_id}, which the corpus lacks"
                        )
                    yield topic, doc_id, row[0]
        finally:
            table.close()


def query_text(topic: str) -> str:
    """A topic as the original turned it into a query: `enwiki:Green%20sea/Diet` -> `Green sea Diet`."""
    return topic.replace("enwiki:", "").replace("%20", " ").replace("/", " ")


def read_hierarchical_qrels(path: Path) -> Qrels:
    """Topic -> paragraph id -> grade, for lines `topic 0 paragraph grade` of grade 1 or more.

    Empty lines, which joining the folds leaves, are passed over. Raises `InputError` with file and line for
    a line without four columns or with a grade that is no integer.
    """
    qrels: Qrels = {}
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 4:
            raise InputError(
                f"{path}:{number}: found {len(columns)} columns, 4 were expected: topic 0 paragraph 1"
            )
        topic, _, paragraph, grade = columns
        if not grade.lstrip("-").isdigit():
            raise InputError(f"{path}:{number}: grade {grade!r} is not an integer")
        if int(grade) >= 1:
            qrels.setdefault(topic, {})[paragraph] = int(grade)
    if not qrels:
        raise InputError(f"{path}: holds no relevant paragraph")
    return qrels


def topics(run: Path) -> Iterator[tuple[str, list[str]]]:
    """Topic after topic with its paragraphs by rank, from a TREC run whose lines of a topic stand together.

    The runs of the training folds have some 20 million lines, so they are read as a stream. Raises
    `InputError` for a line without six columns, a rank that is no integer, and a topic whose lines are
    apart.
    """
    done: set[str] = set()
    topic, ranked = "", list[tuple[int, str]]()
    for number, line in read_lines(run):
        columns = line.split()
        if len(columns) != 6:
            raise InputError(f"{run}:{number}: found {len(columns)} columns, a TREC run has 6")
        if not columns[3].isdigit():
            raise InputError(f"{run}:{number}: rank {columns[3]!r} is not an integer")
        if columns[0] != topic:
            if ranked:
                yield topic, [doc_id for _, doc_id in sorted(ranked)]
            done.add(topic)
            topic, ranked = columns[0], []
            if topic in done:
                raise InputError(
                    f"{run}:{number}: topic {topic!r} was already listed above; sort the run by topic"
                )
        ranked.append((int(columns[3]), columns[2]))
    if ranked:
        yield topic, [doc_id for _, doc_id in sorted(ranked)]


def write_paragraphs(corpus: Path, table: Path, wanted: set[str]) -> int:
    """Copies the paragraphs of these ids from the corpus (CBOR) into a table; how many there were.

    A paragraph is its texts and link anchors joined by spaces, as the original had it.
    """
    try:
        from trec_car.read_data import ParaText, iter_paragraphs
    except ModuleNotFoundError:
        raise MissingExtra("reading TREC-CAR", "treccar") from None

    connection = sqlite3.connect(table)
    found = 0
    with corpus.open("rb") as handle, progress("paragraphs", len(wanted)) as advance:
        connection.execute("CREATE TABLE paragraphs (id TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        try:
            for paragraph in iter_paragraphs(handle):
                if paragraph.para_id in wanted:
                    parts = [b.text if isinstance(b, ParaText) else b.anchor_text for b in paragraph.bodies]
                    row = (paragraph.para_id, " ".join(parts))
                    found += connection.execute(
                        "INSERT OR IGNORE INTO paragraphs VALUES (?, ?)", row
                    ).rowcount
                    advance(1)
        except (EOFError, ValueError, KeyError, AssertionError, TypeError, IndexError) as error:
            raise InputError(
                f"{corpus}: cannot be read as TREC-CAR paragraphs ({type(error).__name__}: {error}); "
                "usually a download that broke off"
            ) from None
    connection.commit()
    connection.close()
    return found


def _documents(run: Path) -> Iterator[str]:
    for _, doc_ids in topics(run):
        yield from doc_ids


def _present(path: Path) -> Iterator[int]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    yield path.stat().st_size

"""MS MARCO passage ranking as a source of training pairs and of candidates to rerank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crosstune.data.judged_lists import JudgedLists
from crosstune.data.msmarco_files import (
    check_whole,
    read_msmarco_ranks,
    read_msmarco_run,
    read_qrels,
    read_top1000,
    read_triples,
)
from crosstune.data.reproduction_settings import MsMarcoFiles
from crosstune.errors import InputError
from crosstune.files import file_states
from crosstune.progress import say
from crosstune.records import Candidate, Example, Run


@dataclass(frozen=True)
class MsMarco:
    """The files below `folder`; nothing but the qrels is held in memory."""

    files: MsMarcoFiles
    folder: Path

    def paths(self) -> dict[str, Path]:
        """Every file that is read, by its key in the settings."""
        names = {key: getattr(self.files, key) for key in ("triples", "top1000", "qrels", "baseline_run")}
        return {key: self.folder / name for key, name in names.items() if name is not None}

    def training_inputs(self) -> list[object]:
        """What decides the training pairs: evaluation's files may be mended without training anew."""
        return [
            self.files.model_dump(include={"folder", "triples"}),
            file_states({"triples": self.paths()["triples"]}),
        ]

    def check(self) -> dict[str, int]:
        """Sizes in bytes, by key. What evaluation reads is read wholly here, as a stream, since its faults
        would else be found after hours of training.

        Raises `InputError` for a file that is missing, empty, broken off, or whose first line is not of its
        format; for any line of the candidates, qrels and baseline run that is not; and for files without a
        common query.
        """
        paths = self.paths()
        for path in paths.values():
            check_whole(path)
        next(self.examples())
        self._check_queries("top1000", {row.query_id for row in self.candidates()})
        if "baseline_run" in paths:
            ranks = read_msmarco_ranks(paths["baseline_run"])
            self._check_queries("baseline_run", {query_id for query_id, _, _ in ranks})
        return {key: path.stat().st_size for key, path in paths.items()}

    def _check_queries(self, key: str, found: set[str]) -> None:
        paths, judged = self.paths(), self.qrels().keys()
        missing = len(judged - found)
        if missing == len(judged):
            raise InputError(
                f"{paths[key]}: no query of it is in {paths['qrels']}; the two files are of different query "
                "sets (dev, dev.small, eval)"
            )
        if missing:
            say(
                f"  {paths[key]}: has nothing for {missing:,} of the {len(judged):,} judged queries; they "
                "count 0"
            )

    def examples(self) -> Iterator[Example]:
        """Each triple's positive, then its negative."""
        for triple in read_triples(self.paths()["triples"]):
            yield Example(triple.query, triple.positive, 1)
            yield Example(triple.query, triple.negative, 0)

    def lists(self) -> list[JudgedLists]:
        """Dev, the only split that is judged."""
        qrels = {query_id: dict.fromkeys(sorted(ids), 1) for query_id, ids in self.qrels().items()}
        return [JudgedLists("dev", qrels, self.candidates, self.candidate_count, self._first_stage)]

    def qrels(self) -> dict[str, set[str]]:
        return read_qrels(self.paths()["qrels"])

    def candidates(self) -> Iterator[Candidate]:
        """The candidates in the order of the file. Raises `InputError` for a query that is not judged."""
        judged, paths = self.qrels(), self.paths()
        for number, row in enumerate(read_top1000(paths["top1000"]), start=1):
            if row.query_id not in judged:
                raise InputError(
                    f"{paths['top1000']}:{number}: query {row.query_id} is not in {paths['qrels']}; "
                    "the two files are of different query sets (dev, dev.small, eval)"
                )
            yield row

    def candidate_count(self) -> int:
        with self.paths()["top1000"].open("rb") as handle:
            return sum(1 for _ in handle)

    def _first_stage(self) -> Run:
        """That which the recipe names, by the ranks; empty where it names none."""
        path = self.paths().get("baseline_run")
        ranks = read_msmarco_run(path) if path else {}
        return {q: {pid: float(-rank) for pid, rank in found.items()} for q, found in ranks.items()}

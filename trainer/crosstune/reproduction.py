"""The stages of a published procedure: check the data, train, evaluate, export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.data import JudgedLists, MsMarco, TrecCar, build_mini_msmarco
from crosstune.evaluate import (
    measure_systems,
    ms_marco_values,
    render_reproduction,
    reproduction_metrics,
    trec_car_values,
)
from crosstune.files import file_states, read_json, write_json
from crosstune.fingerprints import code_version, fingerprint
from crosstune.progress import say
from crosstune.recipe import MsMarcoRecipe, ProcedureRecipe, TrecCarRecipe, dump_recipe
from crosstune.records import Candidate, Example, Run
from crosstune.run import RunFolder, Stage, StageName
from crosstune.serve.pairs import LengthRule
from crosstune.stage_inputs import model_digest
from crosstune.stages import CALIBRATION_PAIRS, PARITY_PAIRS
from crosstune.train.trackers import Facts, report_results
from crosstune.trec import write_run

if TYPE_CHECKING:
    from crosstune.export import Sample
    from crosstune.train.rerank import Scored

CODE: dict[StageName, tuple[str, ...]] = {
    "collection": ("data",),
    "train": ("train", "serve", "data"),
    "evaluate": ("evaluate", "train", "serve", "data"),
    "export": ("export", "serve", "evaluate"),
}


class ReproductionPipeline:
    """The stages of a recipe with a `procedure`, in one run folder."""

    def __init__(self, recipe: ProcedureRecipe, folder: RunFolder) -> None:
        self.recipe = recipe
        self.folder = folder
        train = recipe.train
        self._rule = LengthRule(train.max_tokens, train.max_query_tokens, train.style)

    def stages(self) -> list[Stage]:
        """All stages. Each depends on what it reads: training on its own files, so that one of evaluation's
        is mended without training anew, and evaluation on all of them."""
        recipe = self.recipe
        collection = _outcome("collection", recipe.data.model_dump(), self._source_digest(), recipe.seed)
        train = _outcome(
            "train",
            collection if self._is_made() else self._data(self._made).training_inputs(),
            recipe.train.model_dump(exclude={"report_to"}),
            recipe.seed,
            model_digest(recipe.model),
        )
        evaluate = _outcome("evaluate", collection, train, recipe.evaluate.model_dump(), recipe.seed)
        export = _outcome("export", evaluate, recipe.export.model_dump())
        return [
            Stage("collection", collection, self._collection),
            Stage("train", train, self._train),
            Stage("evaluate", evaluate, self._evaluate),
            Stage("export", export, self._export),
        ]

    def table(self, metrics: dict[str, Any]) -> str:
        return render_reproduction(metrics)

    @property
    def _made(self) -> Path:
        return self.folder.stage("collection")

    def _data(self, made: Path) -> MsMarco | TrecCar:
        """The data set; `made`: the folder of the collection stage."""
        recipe = self.recipe
        folder = Path(recipe.data.folder).expanduser()
        if isinstance(recipe, TrecCarRecipe):
            return TrecCar(recipe.data, folder, made)
        if not self._is_made():
            return MsMarco(recipe.data, folder)
        names = {"qrels": "qrels.dev.tsv", "baseline_run": "run.bm25.dev.tsv"}
        return MsMarco(recipe.data.model_copy(update=names), made)

    def _is_made(self) -> bool:
        return isinstance(self.recipe, MsMarcoRecipe) and self.recipe.data.folder == "stdlib"

    def _source_digest(self) -> object:
        """States of the files, or the Python that they are made from."""
        import sys

        if self._is_made():
            return sys.version
        return file_states(self._data(self._made).paths())

    def _collection(self, out: Path) -> None:
        recipe = self.recipe
        if isinstance(recipe, MsMarcoRecipe) and self._is_made():
            mini = recipe.data.mini
            build_mini_msmarco(
                out,
                seed=recipe.seed,
                depth=mini.depth,
                dev_queries=mini.dev_queries,
                negatives=mini.negatives,
            )
        sizes = self._data(out).check()
        write_json(out / "source.json", {"folder": recipe.data.folder, "bytes": sizes})
        say("  " + ", ".join(f"{key} {size:,} bytes" for key, size in sizes.items()))

    def _train(self, out: Path) -> None:
        from crosstune.train.pointwise import train_pointwise

        recipe = self.recipe
        data = self._data(self._made)
        examples: Callable[[], Iterator[Example]] = data.examples
        facts = Facts(recipe.name, recipe.model_dump(), lambda: fingerprint(self._source_digest()))
        train_pointwise(examples, recipe.model, recipe.train, recipe.seed, out, facts)

    def _evaluate(self, out: Path) -> None:
        from crosstune.serve.pairs import PairEncoder
        from crosstune.train import load_scorer
        from crosstune.train.rerank import rerank_stream, write_msmarco_run

        recipe, data = self.recipe, self._data(self._made)
        model = load_scorer(self.folder.model, self._rule, recipe.seed)
        encoder = PairEncoder.from_folder(self.folder.model, self._rule)
        parts, milliseconds = {}, 0.0
        for part in data.lists():
            reranked = rerank_stream(model, encoder, part.candidates(), part.count())
            milliseconds = reranked.milliseconds
            run = {q: dict(zip(row.doc_ids, row.scores, strict=True)) for q, row in reranked.queries.items()}
            write_run(self._run_file(out, part), run, "crosstune-tuned")
            if isinstance(data, MsMarco):
                write_msmarco_run(self._run_file(out, part).with_suffix(".tsv"), reranked.queries)
                run, measure = _by_rank(reranked.queries), ms_marco_values
            else:
                measure = trec_car_values
            parts[part.split] = measure_systems(part.qrels, run, part.first_stage(), measure)
        context = {"recipe": dump_recipe(recipe), "train": read_json(self.folder.train_summary)}
        write_json(
            out / "metrics.json",
            {
                **reproduction_metrics(parts, recipe.evaluate, recipe.seed),
                "milliseconds_per_query": {"tuned": milliseconds},
                "context": context,
            },
        )
        report_results(self.folder.stage("train"), out)

    def _run_file(self, out: Path, part: JudgedLists) -> Path:
        return out / self.folder.scores(part.split, "tuned").name

    def _export(self, out: Path) -> None:
        from crosstune.export import export_model

        recipe, data = self.recipe, self._data(self._made)
        first: Sequence[Candidate] = list(islice(data.lists()[0].candidates(), PARITY_PAIRS))
        context = {
            "base_model": recipe.model,
            "recipe": recipe.model_dump(),
            "data_fingerprint": fingerprint(self._source_digest()),
            "metrics": read_json(self.folder.metrics)["splits"],
        }
        pairs = [(row.query, row.passage) for row in first]
        export_model(self.folder.model, self._rule, pairs, recipe.export, context, out, self._sample(data))

    def _sample(self, data: MsMarco | TrecCar) -> Sample | None:
        """The first dev queries with their candidates, and the first pairs of the training stream."""
        from crosstune.export import Sample

        settings = self.recipe.export
        if not settings.further:
            return None
        lists: dict[str, list[Candidate]] = {}
        dev = data.lists()[0]
        for row in dev.candidates():  # of top1000 files in no order, so all are read
            if row.query_id in lists or len(lists) < settings.parity_queries:
                lists.setdefault(row.query_id, []).append(row)
        return Sample(
            {q: rows[0].query for q, rows in lists.items()},
            {row.doc_id: row.passage for rows in lists.values() for row in rows},
            {q: {row.doc_id: float(-place) for place, row in enumerate(rows)} for q, rows in lists.items()},
            {q: dev.qrels.get(q, {}) for q in lists},
            [(row.query, row.passage) for row in islice(data.examples(), CALIBRATION_PAIRS)],
        )


def _outcome(name: StageName, *inputs: object) -> str:
    return fingerprint(*inputs, code_version(CODE[name]))


def _by_rank(queries: dict[str, Scored]) -> Run:
    """Ranks turned around: equal scores keep the order of the file, as the rank column does."""
    return {q: {doc: float(-rank) for doc, rank in row.ranks().items()} for q, row in queries.items()}

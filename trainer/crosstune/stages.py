"""The stages of a recipe, in order: what each reads, what it hands to its package, its fingerprint."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import InputError
from crosstune.export_inputs import dev_calibration, drawn_pairs, format_sample
from crosstune.files import read_json, write_json
from crosstune.fingerprints import code_version, fingerprint
from crosstune.mining_stage import mine_stage
from crosstune.progress import say
from crosstune.recipe import Recipe, dump_recipe
from crosstune.records import Collection, Qrels, Run, Split
from crosstune.run import ROUND_1, RunFolder, Stage, StageName
from crosstune.stage_inputs import (
    counted,
    dev_inputs,
    first_stage_inputs,
    mining_inputs,
    stage_names,
    training_inputs,
)
from crosstune.train.trackers import Facts, report_results
from crosstune.trec import read_run, write_run

if TYPE_CHECKING:
    from crosstune.evaluate import ProbeRuns
    from crosstune.export import Calibration, Sample
    from crosstune.serve import Fusion
    from crosstune.train import Systems

PARITY_PAIRS = 200
CALIBRATION_PAIRS = 600
PROBE_SPLITS: tuple[Split, ...] = ("test", "dev")
"""Of a probe, the first of these that it has is measured."""

STAGE_CODE: dict[StageName, tuple[str, ...]] = {
    "collection": ("data",),
    "retrieve": ("data",),
    **dict.fromkeys(("mine_1", "mine"), ("data",)),
    **dict.fromkeys(("adapt", "train_1", "train"), ("train", "serve", "evaluate")),
    "evaluate": ("evaluate", "train", "serve"),
    "export": ("export", "serve", "evaluate"),
}


class Pipeline:
    """The stages of one recipe in one run folder."""

    def __init__(self, recipe: Recipe, folder: RunFolder) -> None:
        self.recipe = recipe
        self.folder = folder
        self._read = cache(self._read_collection)

    def stages(self) -> list[Stage]:
        """All stages; the fingerprint of each takes in those of the stages before it. An adaptation knows
        nothing of what was mined, so that other groups leave it as it is."""
        from crosstune.data import collection_digest, probe_digest

        recipe = self.recipe
        first = recipe.model_copy(update={"mine": recipe.mine.model_copy(update={"round": 1})})
        train = [recipe.train.model_dump(exclude={"report_to"}), *training_inputs(recipe)]
        settings: dict[StageName, object] = {
            "collection": [recipe.collection, collection_digest(recipe.collection, recipe.seed)],
            "retrieve": [recipe.first_stage.model_dump(), *first_stage_inputs(recipe)],
            "mine_1": [first.mine.model_dump(), recipe.seed, *mining_inputs(first)],
            "train_1": train,
            "mine": [recipe.mine.model_dump(), recipe.seed, *mining_inputs(recipe)],
            "adapt": [recipe.adapt.model_dump(), *dev_inputs(recipe)],
            "train": train,
            "evaluate": [
                recipe.evaluate.model_dump(),
                recipe.seed,
                recipe.probe.model_dump(),
                probe_digest(recipe.probe, PROBE_SPLITS, recipe.seed),
            ],
            "export": recipe.export.model_dump(),
        }
        work: dict[StageName, Callable[[Path], None]] = {
            "collection": self._collection,
            "retrieve": self._retrieve,
            "mine_1": partial(self._mine, model=None),
            "train_1": partial(self._train, mined=ROUND_1["mine"]),
            "mine": partial(self._mine, model=self.folder.model_1 if recipe.mine.round == 2 else None),
            "adapt": self._adapt,
            "train": partial(self._train, mined="mine"),
            "evaluate": self._evaluate,
            "export": self._export,
        }
        stages: dict[StageName, Stage] = {}
        before = ""
        for name in stage_names(recipe):
            after = stages["retrieve"].fingerprint if name == "adapt" else before
            mark = fingerprint(after, settings[name], code_version(STAGE_CODE[name]))
            before = fingerprint(before, mark) if name == "adapt" else mark
            stages[name] = Stage(name, mark, work[name])
        return [*stages.values()]

    def _collection(self, out: Path) -> None:
        from crosstune.data import prepare_collection, read_collection

        path = prepare_collection(self.recipe.collection, out / "beir", self.recipe.seed)
        collection = read_collection(path)
        write_json(
            out / self.folder.source.name,
            {"folder": "beir" if path.parent == out else str(path.resolve()), **counted(collection)},
        )
        for name, count in sorted(collection.counts.items()):
            say(f"  {name.replace('_', ' ')}: {count}")
        sizes = ", ".join(f"{len(qrels)} {split}" for split, qrels in collection.qrels.items())
        say(f"  {len(collection.passages)} passages; judged queries: {sizes}")

    def table(self, metrics: dict[str, Any]) -> str:
        """The result for the terminal."""
        from crosstune.evaluate import render_table

        return render_table(metrics)

    def collection_folder(self) -> Path:
        return self.folder.collection_folder()

    def collection(self) -> Collection:
        return self._read(self.collection_folder())

    @staticmethod
    def _read_collection(path: Path) -> Collection:
        from crosstune.data import read_collection

        return read_collection(path)

    def _retrieve(self, out: Path) -> None:
        from crosstune.data import retrieve
        from crosstune.data.first_stages.protocol import needs_extra

        recipe = self.recipe
        further = {single.label: single.first_stage for single in recipe.mine.further}
        if recipe.engine == "local":
            retrieve(self.collection(), recipe.first_stage, out, further)
            return
        with needs_extra("engine: ray", "ray"):
            from crosstune.preparation_on_ray import ray_searches
        with ray_searches(self.collection_folder(), recipe.workers) as open_searches:
            retrieve(self.collection(), recipe.first_stage, out, further, open_searches)

    def _mine(self, out: Path, model: Path | None) -> None:
        mine_stage(self.recipe, self.collection(), self.folder, out, model)

    def _adapt(self, out: Path) -> None:
        from crosstune.train import adapt_to_corpus

        recipe = self.recipe
        dev = self._candidates("dev")
        adapt_to_corpus(self.collection(), dev, recipe.model, recipe.adapt, recipe.train, recipe.seed, out)

    def _train(self, out: Path, mined: StageName) -> None:
        from crosstune.data import beir_digest, read_groups
        from crosstune.train import take_tuned, train

        recipe, collection, dev = self.recipe, self.collection(), self._candidates("dev")
        if recipe.tuned is not None:
            take_tuned(recipe.tuned, collection, dev, recipe.model, recipe.train, recipe.seed, out)
            return
        groups = read_groups(self.folder.stage(mined))
        cache, adapted = self.folder.cache, self.folder.adapted if recipe.adapt.steps else None
        facts = Facts(recipe.name, recipe.model_dump(), lambda: beir_digest(self.collection_folder()))
        train(groups, collection, dev, recipe.model, recipe.train, recipe.seed, out, adapted, facts, cache)

    def _evaluate(self, out: Path) -> None:
        from crosstune.data import beir_digest, mined_sample, read_groups
        from crosstune.evaluate import evaluate, find_leaks
        from crosstune.evaluate.provenance import provenance
        from crosstune.files import read_jsonl
        from crosstune.train import Systems, read_fusion_trial, resolve_model

        recipe, collection = self.recipe, self.collection()
        rule = recipe.train.length_rule
        qrels = self._test_qrels(collection)
        candidates = self._candidates("test")
        fusion = read_fusion_trial(self.folder.fusion).fusion
        systems = Systems(resolve_model(recipe.model), self.folder.model, fusion, rule, recipe.seed)
        scored = systems.score(
            {q: candidates.get(q, {}) for q in qrels},
            collection.queries,
            collection.passages,
            "test",
            lambda system, run: self._kept(out, system, run),
        )
        first_stage = {"first_stage": read_json(self.folder.retrieval)["milliseconds_per_query"]}
        groups = read_groups(self.folder.stage("mine"))
        evaluate(
            qrels,
            scored.runs,
            settings=recipe.evaluate,
            seed=recipe.seed,
            milliseconds=first_stage | scored.milliseconds,
            leaks=find_leaks(collection, groups, qrels),
            context={
                "name": recipe.name,
                "recipe": dump_recipe(recipe),
                "train": read_json(self.folder.train_summary),
                "data_fingerprint": beir_digest(self.collection_folder()),
                "generated_test_judgements": collection.counts.get("test_judgements_generated", 0),
                **provenance(scored.device, rule.max_tokens, rule.windows.most if rule.windows else None),
            },
            split="test",
            queries=collection.queries,
            passages=collection.passages,
            training_log=[row for _, row in read_jsonl(self.folder.train_log)],
            probe=self._probe(systems),
            mined=mined_sample(collection.qrels.get("train", {}), self.folder.ledger),
            folder=out,
        )
        report_results(self.folder.stage("train"), out)

    def _probe(self, systems: Systems) -> ProbeRuns | None:
        """The same systems on a collection of another domain, where the recipe names one."""
        from crosstune.data import open_probe
        from crosstune.evaluate import ProbeRuns

        if self.recipe.probe.collection is None:
            return None
        probe = open_probe(self.recipe.probe, PROBE_SPLITS, self.recipe.seed)
        scored = systems.score(probe.candidates, probe.queries, probe.passages, "probe")
        return ProbeRuns(probe.name, probe.split, probe.qrels, scored.runs)

    def _kept(self, out: Path, system: str, run: Run) -> Run:
        """The test run as its file holds it, so that others measure the same on the file."""
        path = out / self.folder.scores("test", system).name
        write_run(path, run, f"crosstune-{system}")
        return read_run(path)

    def _test_qrels(self, collection: Collection) -> Qrels:
        """The judged test queries, or the seeded sample of them that the recipe asks for."""
        judged = collection.qrels.get("test", {})
        if not judged:
            raise InputError(
                "the collection has no test split (qrels/test.tsv); there is nothing to prove on"
            )
        wanted = self.recipe.evaluate.test_queries
        if wanted is None or wanted >= len(judged):
            return judged
        say(f"  {wanted} of {len(judged)} test queries, drawn by seed {self.recipe.seed}")
        return {q: judged[q] for q in random.Random(self.recipe.seed).sample(sorted(judged), wanted)}

    def _export(self, out: Path) -> None:
        from crosstune.data import beir_digest
        from crosstune.export import export_model, refuse_worse, render_card
        from crosstune.train import read_fusion_trial

        recipe = self.recipe
        rule = recipe.train.length_rule
        metrics = read_json(self.folder.metrics)
        trial = read_fusion_trial(self.folder.fusion)
        if not recipe.export.allow_worse:
            dev = read_json(self.folder.train_summary)["dev"]
            refuse_worse(dev, trial.queries, recipe.export.most_loss)
        export_model(
            self.folder.model,
            rule,
            self.sample_pairs(),
            recipe.export,
            {
                "base_model": recipe.model,
                "recipe": recipe.model_dump(),
                "data_fingerprint": beir_digest(self.collection_folder()),
                "metrics": metrics["splits"],
                "fusion": asdict(trial.fusion) if trial.fusion is not None else None,
            },
            out,
            self.export_sample(),
            self._calibration(trial.fusion),
            render_card(recipe.collection, recipe.model, rule, metrics),
        )

    def export_sample(self) -> Sample | None:
        """What further formats are compared on: whole candidate lists of dev queries; and train pairs."""
        settings = self.recipe.export
        if not settings.further:
            return None
        train = self.sample_pairs("train", CALIBRATION_PAIRS)
        dev = self._candidates("dev")
        return format_sample(self.collection(), dev, train, settings.parity_queries, self.recipe.seed)

    def _calibration(self, fusion: Fusion | None) -> Calibration:
        logits, dev = read_run(self.folder.dev_scores), self._candidates("dev")
        return dev_calibration(self.collection(), logits, dev, fusion, self.recipe.export, self.recipe.seed)

    def sample_pairs(self, split: Split = "dev", count: int = PARITY_PAIRS) -> list[tuple[str, str]]:
        """Pairs of a split's candidates; those of dev are what the exported model is compared on."""
        return drawn_pairs(self.folder.candidates(split), self.collection(), count, self.recipe.seed)

    def _candidates(self, split: Split) -> Run:
        path = self.folder.candidates(split)
        return read_run(path) if path.is_file() else {}

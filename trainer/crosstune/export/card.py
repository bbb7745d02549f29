"""The model card of an export: what it is, what was measured, how it is used, where it ends.

`README.md` with the metadata that the Hugging Face hub reads. It is no part of the manifest's files: whoever
publishes the folder adds to it, a licence above all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.serve.pairs import LengthRule

CARD = "README.md"
FOLDER_LINE = 'folder = "FOLDER"'
"""Of the examples; a push puts the repository there."""
TAGS = ["cross-encoder", "reranker", "crosstune"]
NAMES = {
    "first_stage": "first stage",
    "base": "untrained base model",
    "tuned": "this model",
    "fused": "this model with the first stage's score",
    "ceiling": "ceiling (the best order of the candidates)",
}
MEASURES = ("nDCG@10", "RR@10", "R@100")


def render_card(source: str, base_model: str, rule: LengthRule, metrics: Mapping[str, Any]) -> str:
    """The Markdown text. `source`, `base_model`: the recipe's collection and model; `metrics`: what
    `metrics.json` holds."""
    from huggingface_hub import EvalResult, ModelCardData

    test: Mapping[str, Mapping[str, float]] = metrics["splits"]["test"]
    context, headline = metrics["context"], metrics["headline"]
    name = context["name"]
    collection = _name(source)
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="text-ranking",
        tags=TAGS,
        base_model=base_model.removeprefix("hub:") if base_model.startswith("hub:") else None,
        model_name=name,
        eval_results=[
            EvalResult("text-ranking", collection, collection, measure.lower(), value, dataset_split="test",
                       metric_name=measure)
            for measure, value in test[metrics["recommended"]].items()
        ],
    )  # fmt: skip
    return "\n".join(
        [
            "---",
            data.to_yaml(),
            "---",
            f"# {name}: a reranker for {collection}",
            "",
            "A cross-encoder that reads query and passage together and says by a logit how relevant the "
            f"passage is. Tuned with crosstune {context['versions']['crosstune']} from `{base_model}`.",
            "",
            "## Measured",
            f"{metrics['queries']} judged test queries, the candidates of the first stage reranked:",
            "",
            *_table(test),
            "",
            *_gain(metrics, headline),
            *_leaks(metrics, headline),
            "",
            *_use(rule, fused=metrics["recommended"] == "fused"),
            "## Limits",
            f"- Measured on {collection} alone. On other texts measure again (`crosstune evaluate`).",
            *_limits(rule),
            "- Licence: what those of the base model and of the data allow; `crosstune push --license` puts "
            "it above.",
            "",
            "## How it came about",
            f"Data fingerprint `{context['data_fingerprint']}`, recipe:",
            "```yaml",
            context["recipe"].rstrip("\n"),
            "```",
            "",
        ]
    )


def _length(rule: LengthRule) -> str:
    limits = f"- A pair has at most {rule.max_tokens} tokens and a query {rule.max_query_tokens}; "
    if rule.windows is None:
        return limits + "what is longer is cut at its end."
    return limits + (
        f"a longer document is read in at most {rule.windows.most} windows, and has the highest of their "
        "logits (MaxP). It was tuned and measured so, and crosstune's helper and service read it so. Other "
        "libraries and servers cut it at its end: they see its first window alone (FirstP), and rank long "
        "documents otherwise than measured above. There, cut documents into passages before you send them, "
        "and take the best score of each document."
    )


def render_card_of_model(base_model: str, rule: LengthRule, collection: str, licence: str | None) -> str:
    """Of a model that was trained elsewhere: nothing was measured here but that the export equals it."""
    from huggingface_hub import ModelCardData

    name = base_model.rpartition(":")[2]
    hub = base_model.startswith("hub:")
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="text-ranking",
        tags=TAGS,
        base_model=name if hub else None,
        license=licence,
    )
    what = f"[{name}](https://huggingface.co/{name})" if hub else f"`{Path(name).name}`"
    return "\n".join(
        [
            "---",
            data.to_yaml(),
            "---",
            f"# {Path(name).name}, exported with crosstune",
            "",
            f"{what} with one logit, unchanged but for that: a head with two labels becomes the "
            "difference of its weights, which orders and scores alike. Its own card says what it was trained "
            "and measured on.",
            "",
            *_use(rule, fused=False),
            "## Limits",
            f"- That the files equal the model was checked on pairs of {_name(collection)}; how well it "
            "ranks was not measured (`crosstune evaluate`).",
            *_limits(rule),
            "",
        ]
    )


def _name(source: str) -> str:
    """Of a collection, without where it lies."""
    return Path(source.rpartition(":")[2]).name


def _limits(rule: LengthRule) -> list[str]:
    return [
        _length(rule),
        "- A logit orders the documents of one query. What it says of relevance is in `manifest.json` under "
        "`calibration`, where dev had enough labels.",
    ]


def _table(test: Mapping[str, Mapping[str, float]]) -> list[str]:
    known = [measure for measure in MEASURES if measure in test["tuned"]] or list(test["tuned"])
    lines = [f"| | {' | '.join(known)} |", "|---" * (len(known) + 1) + "|"]
    for system, values in test.items():
        lines.append(f"| {NAMES[system]} | {' | '.join(f'{values[measure]:.3f}' for measure in known)} |")
    return lines


def _gain(metrics: Mapping[str, Any], headline: str) -> list[str]:
    """What is recommended against what was there before, each with its interval."""
    system, lines = metrics["recommended"], []
    for other in ("first_stage", "base"):
        if (found := metrics["comparison"].get(f"{system} against {other}")) is None:
            continue
        gain = found[headline]
        lines.append(
            f"- Against the {NAMES[other]}: {gain['difference']:+.3f} {headline}, 95 % interval "
            f"[{gain['low']:+.3f}, {gain['high']:+.3f}], p = {gain['p_holm']:.2g} (paired randomisation "
            f"test, Holm): {gain['verdict']}."
        )
    return lines


def _leaks(metrics: Mapping[str, Any], headline: str) -> list[str]:
    leaks = metrics["leakage"]
    count = len({*leaks["equal_queries"], *leaks["near_queries"]})
    if not count:
        return []
    without = leaks["headline_without_leaks"][metrics["recommended"]]
    return [f"{count} test queries equal or nearly equal a train query; without: {headline} {without:.3f}."]


def _use(rule: LengthRule, *, fused: bool) -> list[str]:
    scores = ", first_stage_scores=scores" if fused else ""
    return [
        "## Use",
        "```python",
        FOLDER_LINE,
        "",
        "from crosstune.serve import Reranker  # onnxruntime, no torch",
        f"Reranker(folder).rank(query, documents, top_k=10{scores})",
        "",
        "from sentence_transformers import CrossEncoder",
        "CrossEncoder(folder).rank(query, documents, top_k=10)",
        "",
        "from transformers import pipeline",
        'pipeline("text-classification", folder)([{"text": query, "text_pair": document}], '
        f"truncation=True, max_length={rule.max_tokens})",
        "```",
        "These three and `crosstune serve` load the folder as it is, as crosstune's tests do. "
        "Infinity's server was run by crosstune's tests. text-embeddings-inference and vLLM were not: that "
        "they find what they read is checked from their sources; vLLM has no DistilBERT, DeBERTa-v2 or "
        "ELECTRA. `crosstune parity` says whether yours ranks as measured.",
        "",
    ]

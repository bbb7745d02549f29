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
    collection = Path(source.rpartition(":")[2]).name
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="text-ranking",
        tags=["cross-encoder", "reranker", "crosstune"],
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
            _gain(metrics, headline),
            *_leaks(metrics, headline),
            "",
            *_use(rule, fused=metrics["recommended"] == "fused"),
            "## Limits",
            f"- Measured on {collection} alone. On other texts measure again (`crosstune evaluate`).",
            _length(rule),
            "- A logit orders the documents of one query. What it says of relevance is in `manifest.json` "
            "under `calibration`, where dev had enough labels.",
            "- Licence: that of the base model and of the data; add `license:` above before you publish.",
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


def _table(test: Mapping[str, Mapping[str, float]]) -> list[str]:
    known = [measure for measure in MEASURES if measure in test["tuned"]] or list(test["tuned"])
    lines = [f"| | {' | '.join(known)} |", "|---" * (len(known) + 1) + "|"]
    for system, values in test.items():
        lines.append(f"| {NAMES[system]} | {' | '.join(f'{values[measure]:.3f}' for measure in known)} |")
    return lines


def _gain(metrics: Mapping[str, Any], headline: str) -> str:
    system = metrics["recommended"]
    found = metrics["comparison"][f"{system} against first_stage"][headline]
    return (
        f"Gain over the first stage: {found['difference']:+.3f} {headline}, 95 % interval "
        f"[{found['low']:+.3f}, {found['high']:+.3f}], p = {found['p_holm']:.2g} (paired randomisation test, "
        f"Holm): {found['verdict']}."
    )


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
        "from crosstune.serve import Reranker  # onnxruntime, no torch",
        f'Reranker("FOLDER").rank(query, documents, top_k=10{scores})',
        "",
        "from sentence_transformers import CrossEncoder",
        'CrossEncoder("FOLDER").rank(query, documents, top_k=10)',
        "",
        "from transformers import pipeline",
        'pipeline("text-classification", "FOLDER")([{"text": query, "text_pair": document}], '
        f"truncation=True, max_length={rule.max_tokens})",
        "```",
        "`crosstune serve FOLDER`, text-embeddings-inference, Infinity and vLLM load it as it is; `crosstune "
        "parity` says whether they rank as measured.",
        "",
    ]

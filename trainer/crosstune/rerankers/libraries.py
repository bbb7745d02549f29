"""Rerankers of other libraries, each behind one method. A library is imported when it is asked for."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from crosstune.endpoints.answers import BadAnswer
from crosstune.errors import CrosstuneError, InputError
from crosstune.own_code import refuse_own_code, refuse_own_modules
from crosstune.rerankers.answers import by_index

BATCH = 32
"""Pairs that sentence-transformers scores together."""


class Library(Protocol):
    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """A finite score a text, higher is better. Raises `BadAnswer` for what the library gives instead."""


class SentenceTransformers:
    """`CrossEncoder.predict`, as its users call it; a score a pair."""

    def __init__(self, module: Any, name: str) -> None:
        self._model = module.CrossEncoder(name, trust_remote_code=False)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        scores = self._model.predict(
            [(query, text) for text in texts], batch_size=BATCH, show_progress_bar=False
        )
        if getattr(scores, "ndim", 1) != 1:
            raise BadAnswer(f"{scores.shape[1]} scores a pair", "one: a reranker has one label")
        return by_index([(place, float(score)) for place, score in enumerate(scores)], len(texts))


class FlashRank:
    """`Ranker.rerank`. A folder stands for itself: its name is the model's, and it lies in its own cache."""

    def __init__(self, module: Any, name: str) -> None:
        folder = Path(name)
        where = {"cache_dir": str(folder.parent)} if folder.is_dir() else {}
        self._ranker = module.Ranker(model_name=folder.name, log_level="ERROR", **where)
        self._request = module.RerankRequest

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        passages = [{"id": place, "text": text} for place, text in enumerate(texts)]
        ranked = self._ranker.rerank(self._request(query=query, passages=passages))
        return by_index([(row["id"], float(row["score"])) for row in ranked], len(texts))


class Rerankers:
    """`Reranker(NAME).rank`: the library tells by the name which kind it is; a folder is a cross-encoder."""

    def __init__(self, module: Any, name: str) -> None:
        kind = "cross-encoder" if Path(name).is_dir() else None
        self._ranker = module.Reranker(name, model_type=kind, verbose=0)
        if self._ranker is None:
            raise InputError(
                "rerankers lacks the packages for this kind of model: pip install 'rerankers[all]'"
            )

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        ranked = self._ranker.rank(query, list(texts), doc_ids=list(range(len(texts)))).results
        if any(result.score is None for result in ranked):
            raise BadAnswer("ranks without scores", "scores: this kind of model only orders")
        return by_index([(result.document.doc_id, float(result.score)) for result in ranked], len(texts))


_LIBRARIES: dict[str, tuple[str, Callable[[Any, str], Library]]] = {
    "sentence-transformers": ("sentence_transformers", SentenceTransformers),
    "flashrank": ("flashrank", FlashRank),
    "rerankers": ("rerankers", Rerankers),
}
"""Package to install -> module and adapter."""


def open_library(spec: str) -> Library:
    """The reranker behind `PACKAGE:NAME`. Raises `InputError` for an unknown or missing package (with the pip
    command), for a folder that needs code of its own, and for a model that the library cannot load (with its
    reason)."""
    package, colon, name = spec.partition(":")
    if not colon or not name or package not in _LIBRARIES:
        raise InputError(
            f"--reranker {spec}: {', '.join(f'{known}:NAME' for known in _LIBRARIES)} were expected"
        )
    if package != "flashrank" and (Path(name) / "config.json").is_file():  # flashrank runs ONNX alone
        refuse_own_code(Path(name))
        refuse_own_modules(Path(name))
    module_name, adapter = _LIBRARIES[package]
    with contextlib.redirect_stdout(sys.stderr):  # libraries greet; standard output is the result's
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise InputError(
                f"--reranker {spec}: the module {error.name} is not installed: pip install {package}"
            ) from None
        try:
            return adapter(module, name)
        except CrosstuneError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"--reranker {spec}: {package} cannot load it ({type(error).__name__}: {reason}); give a "
                "name that it knows, or a folder"
            ) from None

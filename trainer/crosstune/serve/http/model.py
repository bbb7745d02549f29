"""One served model: an export folder, loaded and checked, and the one that takes its place."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import read_json, sha256_file
from crosstune.serve.limits import check_parity
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.ranked import Score
from crosstune.serve.reranker import Reranker
from crosstune.serve.seal import MANIFEST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
WARM_UP = [("a query", "a passage of some words " * count) for count in (1, 4, 16, 64) * 4]

Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Source:
    """Where a model comes from, also when another export takes its folder's place. `backend`: a format, or
    `auto`."""

    folder: Path
    backend: str = "auto"


@dataclass(frozen=True)
class Engine:
    """A loaded model. `special`: ids of a pair that are no text's; `rate`: tokens a second, measured on the
    warm-up; `recipe`: what the export was made with, empty where it does not say; `facts`: what `/info`
    shows."""

    name: str
    reranker: Reranker
    encoder: PairEncoder
    rule: LengthRule
    special: int
    rate: float
    signature: Signature
    recipe: Mapping[str, Any] = field(repr=False)
    facts: dict[str, Any] = field(repr=False)


def named_exports(words: Sequence[str]) -> dict[str, Path]:
    """`NAME=EXPORT` or `EXPORT` -> name and folder, in the order given.

    Without a name the folder's own counts, or its parent's where it is called `export`. Raises
    `InputError` for a name twice and for one that is no plain word.
    """
    exports: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        path = Path(folder if equals else word)
        if not equals:
            resolved = path.resolve()
            name = resolved.parent.name if resolved.name == "export" else resolved.name
        if not NAME.fullmatch(name):
            raise InputError(f"{word}: {name!r} cannot be a model's name; give one as NAME={path}")
        if name in exports:
            raise InputError(
                f"{word}: a model called {name!r} is already served; give another as NAME={path}"
            )
        exports[name] = path
    return exports


def sources(exports: Sequence[str], backends: Sequence[str]) -> dict[str, Source]:
    """`named_exports`, each with its backend: `NAME=FORMAT` for one model, `FORMAT` for the others.

    Raises `InputError` as `named_exports`, for a model that is not there and for two backends of one.
    """
    folders = named_exports(exports)
    chosen: dict[str, str] = {}
    for word in backends:
        name, equals, backend = word.rpartition("=")
        if equals and name not in folders:
            raise InputError(f"--backend {word}: no such model; the models are {', '.join(folders)}")
        if name in chosen:
            raise InputError(f"--backend {word}: {name or 'all models'} has a backend already; leave one out")
        chosen[name] = backend
    return {name: Source(path, chosen.get(name, chosen.get("", "auto"))) for name, path in folders.items()}


def signature(folder: Path) -> Signature | None:
    """Changes when another export takes the folder's place; None while there is none."""
    try:
        stat = (folder / MANIFEST).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def load(name: str, folder: Path, backend: str = "auto") -> Engine:
    """Loads the folder's format `backend`, and serves it only when the folder is whole, the format held to
    the limits of its parity check, and it scores a few pairs to the same finite numbers twice, alone and
    together.

    Raises `InputError`. Blocks for the time of the loading: call it in a thread.
    """
    seen = signature(folder)
    manifest = read_manifest(folder)
    values = read_json(folder / MANIFEST)
    reranker = Reranker(folder, backend)
    check_parity(str(folder / MANIFEST), values, reranker.backend)
    encoder = PairEncoder.from_folder(folder, manifest.rule)
    rate = _check(folder, reranker, encoder)
    if seen is None or signature(folder) != seen:
        raise InputError(f"{folder}: changed while it was read; it is read again")
    scale = manifest.scales.get("logit")  # no wire format has a field for the first stage's scores
    facts = {
        "name": name,
        "backend": reranker.backend,
        "base_model": values.get("base_model"),
        "max_tokens": manifest.rule.max_tokens,
        "max_query_tokens": manifest.rule.max_query_tokens,
        "windows": None if manifest.rule.windows is None else asdict(manifest.rule.windows),
        "score_activation": values.get("score_activation"),
        "relevance_score": values.get("score_activation") if scale is None else scale.method,
        "threshold": None if scale is None else scale.threshold,
        "manifest_sha256": sha256_file(folder / MANIFEST),
        "exported_by": values.get("crosstune_version"),
        "loaded_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    special = len(encoder.encode([("", "")])[0])
    return Engine(
        name, reranker, encoder, manifest.rule, special, rate, seen, values.get("recipe") or {}, facts
    )


def _check(folder: Path, reranker: Reranker, encoder: PairEncoder) -> float:
    together = reranker.score(WARM_UP)
    started = time.perf_counter()
    again = reranker.score(WARM_UP)
    elapsed = time.perf_counter() - started
    alone = [reranker.score([pair])[0] for pair in WARM_UP[:4]]
    for first, second in [*zip(together, again, strict=True), *zip(together, alone, strict=False)]:
        if not _equal(first, second):
            raise InputError(
                f"{folder}: the same pair got the logits {first.logit} and {second.logit}; do not serve it, "
                "export the model again"
            )
    return sum(sum(pair.lengths) for pair in encoder.encode(WARM_UP)) / max(elapsed, 1e-6)


def _equal(first: Score, second: Score) -> bool:
    return math.isfinite(first.logit) and abs(first.logit - second.logit) <= 1e-3

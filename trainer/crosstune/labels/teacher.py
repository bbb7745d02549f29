"""A cross-encoder that judges pairs of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from crosstune.cache import cache_folder

MAX_TOKENS, MAX_QUERY_TOKENS = 512, 64


def check_teacher(spec: str, key: str) -> None:
    """Raises `InputError` before anything is paid for a model that is missing or has no ranking head."""
    from crosstune.train.mining_teacher import resolve_teacher

    resolve_teacher(spec, key)


@contextmanager
def open_teacher(
    spec: str, seed: int, key: str
) -> Iterator[Callable[[Sequence[tuple[str, str]]], list[float]]]:
    """Yields a function from `(query, passage)` pairs to logits, kept by content for later calls.

    `spec`: `package:`, `hub:` or a folder, as `key` named it. A pair has as many tokens as the model has
    positions, 512 at most. Raises `InputError` for a model that cannot be loaded or has no ranking head.
    """
    from crosstune.serve.pairs import LengthRule
    from crosstune.train.mining_teacher import mining_teacher, resolve_teacher
    from crosstune.train.model import positions_of

    folder = resolve_teacher(spec, key)
    tokens = min(MAX_TOKENS, positions_of(folder) or MAX_TOKENS)
    rule = LengthRule(tokens, min(MAX_QUERY_TOKENS, tokens // 2))
    with mining_teacher(spec, rule, seed, cache_folder("teachers")) as score:
        yield score

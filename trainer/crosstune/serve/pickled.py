"""A pickled helper: where its export lies, and which one it was. Weights are not pickled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crosstune.errors import InputError

if TYPE_CHECKING:
    from crosstune.serve.scorer import Scorer


class Pickled:
    """Of what is made from a folder and a back end: a copy loads the folder again.

    Raises `InputError` where that fails, and where another export lies there than the one that was pickled.
    """

    _scorer: Scorer

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        scorer = self._scorer
        return _loaded, (type(self), str(scorer.path), scorer.backend, scorer.manifest.seal)


def _loaded(kind: Callable[[str, str], Pickled], folder: str, backend: str, seal: str) -> Pickled:
    again = kind(folder, backend)
    if again._scorer.manifest.seal != seal:
        raise InputError(
            f"{folder}: another export than the one that was pickled; load it by Reranker({folder!r})"
        )
    return again

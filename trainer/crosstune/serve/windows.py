"""Long documents: the windows of a passage that has no room beside its query, and the logit of the whole.

The document's logit is the highest of its windows' (MaxP, Dai & Callan 2019, arXiv:1905.09217). Without
windows a passage is cut at its end, so that the first window alone counts (FirstP, there too).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from crosstune.errors import InputError
from crosstune.serve.checked import whole

MOST_TOKENS = 8192
"""Of a pair: what the families that can be exported read at most."""
MOST_OF_A_PASSAGE = 256
"""Windows."""


@dataclass(frozen=True)
class Windows:
    """`overlap`: wordpieces that neighbouring windows share, half of a window when `None`; `most`: windows of
    one passage, from its beginning on; what lies behind them is cut."""

    overlap: int | None
    most: int
    aggregate: Literal["max"] = "max"

    def __post_init__(self) -> None:
        if self.aggregate != "max" or self.most < 1:
            raise InputError(
                f"windows with aggregate {self.aggregate!r} and most {self.most}: 'max' and at least 1 were "
                "expected"
            )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Windows:
        """What a manifest holds. Raises `ValueError` and `TypeError` for values that no export writes."""
        if values["overlap"] is not None:
            whole("windows.overlap", values["overlap"], 0, MOST_TOKENS)
        whole("windows.most", values["most"], 1, MOST_OF_A_PASSAGE)
        return cls(**values)

    def check(self, shortest: int) -> None:
        """Raises `InputError` where windows of `shortest` wordpieces, what the longest query leaves, would
        not advance."""
        if shortest < 1 or not 0 <= (self.overlap or 0) < shortest:
            raise InputError(
                f"windows.overlap is {self.overlap} and the shortest window, beside the longest query, has "
                f"{shortest} tokens; give max_tokens more, max_query_tokens less or a smaller overlap"
            )

    def plan(self, length: int, room: int) -> list[range]:
        """The windows of a passage of `length` wordpieces, `room` of which fit beside its query.

        Each has `room` wordpieces; the last ends with the passage, so that it may share more with the one
        before it. A passage that fits is one window.
        """
        if length <= room:
            return [range(length)]
        step = room - (room // 2 if self.overlap is None else self.overlap)
        count = min(self.most, 1 + -(-(length - room) // step))
        starts = (min(number * step, length - room) for number in range(count))
        return [range(start, start + room) for start in starts]


@dataclass(frozen=True)
class Best:
    """`logit`: of the pair; `window`: the number, from 0, of the window that it is of."""

    logit: float
    window: int


def best_windows(logits: Iterable[float], counts: Sequence[int]) -> Iterator[Best]:
    """`logits`: of the windows of all pairs, a pair after the other; `counts`: windows of each pair. The
    earlier of two equal windows is the best."""
    rows = iter(logits)
    for count in counts:
        own = list(islice(rows, count))
        window = max(range(count), key=own.__getitem__)
        yield Best(own[window], window)

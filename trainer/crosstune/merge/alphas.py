"""The shares of the way from base to tuned model that are tried."""

from __future__ import annotations

import math

from crosstune.errors import InputError

MOST = 101


def parse_alphas(text: str) -> list[float]:
    """`LOW:HIGH:STEP` or `A,B,C`, in rising order; the ends 0 and 1, what the others are compared with, are
    always among them.

    Raises `InputError` for what is neither, for a share outside of 0 to 1 and for more than 101 of them.
    """
    parts = text.split(":")
    if len(parts) == 3:
        low, high, step = (_number(text, part) for part in parts)
        if step <= 0 or low > high:
            raise InputError(f"--alpha {text}: LOW <= HIGH and a STEP above 0 were expected, as in 0:1:.1")
        if (high - low) / step > MOST:
            raise InputError(f"--alpha {text}: more than {MOST} models to score; take a larger STEP")
        found = [low + place * step for place in range(math.floor((high - low) / step + 1e-9) + 1)]
    elif len(parts) == 1:
        found = [_number(text, part) for part in text.split(",")]
    else:
        raise InputError(f"--alpha {text}: LOW:HIGH:STEP (0:1:.1) or A,B,C (.25,.5,.75) was expected")
    alphas = sorted({0.0, 1.0, *(round(alpha, 6) for alpha in found)})
    if alphas[0] < 0 or alphas[-1] > 1:
        wrong = alphas[0] if alphas[0] < 0 else alphas[-1]
        raise InputError(
            f"--alpha {text}: {wrong:g} lies outside of 0 to 1; alpha is the share of the way from the base "
            "(0) to the tuned model (1)"
        )
    return alphas


def _number(text: str, part: str) -> float:
    try:
        number = float(part)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"--alpha {text}: {part!r} is no number; LOW:HIGH:STEP or A,B,C was expected")
    return number

"""What a user is told of a tracker that cannot be used."""

from __future__ import annotations

from crosstune.progress import say


def tell(name: str, error: Exception, outcome: str) -> None:
    """One line: the tracker, the error's first line and what follows from it."""
    reason = str(error).strip().splitlines()
    say(f"  {name}: {type(error).__name__}: {reason[0] if reason else 'no reason given'}; {outcome}")

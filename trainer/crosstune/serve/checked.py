"""Values of a manifest, each checked before it is used."""

from __future__ import annotations


def whole(name: str, value: object, least: int, most: int) -> int:
    """`value` where it is a whole number in this range; raises `ValueError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}; a whole number from {least} to {most} was expected")
    return value

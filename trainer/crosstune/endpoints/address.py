"""Addresses as users give them, and as messages may show them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

from crosstune.errors import InputError


def checked(given: str, option: str = "--endpoint") -> SplitResult:
    """The parts of the address that `option` gave. Raises `InputError` for what is no HTTP address, or one
    with a name and password in it."""
    parts = _parts(given)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{option} {_without_login(given)}: http:// or https:// and a host were expected")
    if "@" in parts.netloc:
        raise InputError(
            f"{option} {_without_login(given)}: has a login in it; keep keys out of addresses, name the "
            "environment variable that holds the key with --api-key-env NAME"
        )
    return parts


def _parts(given: str) -> SplitResult | None:
    try:
        parts = urlsplit(given)
        return parts if parts.port != 0 else None
    except ValueError:  # of brackets, and of a port that is no number up to 65535
        return None


def shown(url: str) -> str:
    """An address for messages: without its query, where some services take a key."""
    return urlunsplit((*urlsplit(url)[:3], "", ""))


def _without_login(given: str) -> str:
    return given.rpartition("@")[2] if "@" in given else given


def whole(text: str) -> str:
    """Half characters, which JSON cannot send, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""API keys: several, each with a name, compared in constant time and re-read when their file changes."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_lines

SHORTEST = 16
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
EXPECTED = f"a line is a name, a space and a key of {SHORTEST} or more visible ASCII characters"


def read_keys(path: Path) -> dict[str, bytes]:
    """Name -> sha256 of the key. Empty lines and lines from `#` on are passed over.

    Raises `InputError` with the line, and never with a key, for anything else, and when none is left.
    """
    keys: dict[str, bytes] = {}
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, key = line.partition(" ")
        if not NAME.fullmatch(name) or not re.fullmatch(rf"[!-~]{{{SHORTEST},}}", key):
            raise InputError(f"{path}:{number}: not a key; {EXPECTED}")
        if name in keys:
            raise InputError(f"{path}:{number}: the name {name!r} is already on a line above")
        keys[name] = hashlib.sha256(key.encode()).digest()
    if not keys:
        raise InputError(f"{path}: holds no key; {EXPECTED}")
    return keys


class Keys:
    """The keys of one file; `refresh` reads it again, and keeps what it has when the file is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _signature(path)
        self._keys = read_keys(path)

    def refresh(self) -> bool:
        """True when other keys count from now on. Raises `InputError` for a damaged file, once a change, and
        `OSError` for one that cannot be read, each time."""
        signature = _signature(self._path)
        if signature == self._seen:
            return False
        try:
            self._keys = read_keys(self._path)
        except InputError:
            self._seen = signature
            raise
        self._seen = signature
        return True

    def name_of(self, authorization: str | None) -> str | None:
        """The name of the key in `Bearer KEY`, or None.

        Digests are compared, every one of them, so that the time says nothing about a key.
        """
        scheme, _, given = (authorization or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
        found = None
        for name, key in self._keys.items():
            if hmac.compare_digest(digest, key):
                found = name
        return found if scheme.lower() == "bearer" else None


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino

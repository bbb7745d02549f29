"""The folder for indexes, vectors and converted weights: expensive, made again when it is deleted, which is
safe at any time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from crosstune.errors import InputError
from crosstune.full_disk import is_full_disk


def cache_folder(name: str) -> Path:
    """`name` below `CROSSTUNE_CACHE`, or below `crosstune` in the user's cache folder."""
    root = os.environ.get("CROSSTUNE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(root or f"{home}/crosstune").expanduser() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached_folder(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """The folder of `key`, which `build` fills if it is not there. Safe with several processes at once:
    each builds in a folder of its own and the first to rename it wins. Raises `InputError` when the disk is
    full."""
    folder = cache_folder(name) / key
    if not folder.is_dir():
        temporary = Path(tempfile.mkdtemp(prefix=f".{key[:16]}.", dir=folder.parent))
        try:
            build(temporary)
            temporary.rename(folder)
        except OSError as error:
            if is_full_disk(error):
                raise InputError(
                    f"{folder.parent}: {os.strerror(errno.ENOSPC)}; free some there, or let CROSSTUNE_CACHE "
                    "name a folder with more room"
                ) from error
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def content_key(texts: Iterable[str], *settings: object) -> str:
    """A digest over the texts in their order and the settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for text in texts:
        data = text.encode(errors="surrogatepass")
        digest.update(f"{len(data)}\n".encode() + data)
    return digest.hexdigest()

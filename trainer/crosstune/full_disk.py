"""A disk that is full: not all that say so say where."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_full_disk(error: OSError) -> bool:
    """Whether the disk, or a quota on it, is full. numpy's `tofile` tells no more than what it wrote."""
    words = str(error)
    short = error.errno is None and "requested and" in words and words.endswith("written")
    return short or error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """A full disk met while `path` is written is raised with that path, where no file is named."""
    try:
        yield
    except OSError as error:
        if error.filename or not is_full_disk(error):
            raise
        raise _full(path) from error


def refuse_full_database(error: Exception, path: Path) -> None:
    """Raises `OSError` with the database `path` where `error`, of sqlite, says that the disk is full."""
    if "full" in str(error):
        raise _full(path) from error


def _full(path: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

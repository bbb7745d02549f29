"""The log: one JSON object a line on standard error, so that no client's text can begin a line of its own.

It holds no text of a query or document unless `--log-texts` was given: of an exception of ours or of a
library only the type and the places in the code are written, since its message may quote a text.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO

from crosstune.errors import CrosstuneError


def log(event: str, **fields: Any) -> None:
    row = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event} | fields
    stream = sys.stderr.stream if isinstance(sys.stderr, PlainLines) else sys.stderr
    stream.write(json.dumps(row, ensure_ascii=True, default=str) + "\n")
    stream.flush()


def log_error(event: str, error: BaseException, *, quotes: bool = False, **fields: Any) -> None:
    """`quotes`: the message of our own errors may quote a text here, too, and is left out."""
    if isinstance(error, CrosstuneError) and not quotes:
        log(event, error=str(error), **fields)
        return
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames
    ]
    log(event, error=type(error).__name__, places=places, **fields)


class PlainLines(io.TextIOBase):
    """Standard error for what speaks to a person, as the preparation of a collection does: each line becomes
    one of the log."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                log("note", message=line.strip())
        return len(text)


@contextmanager
def plain_lines_logged() -> Iterator[None]:
    with redirect_stderr(PlainLines(sys.stderr)):
        yield


class LibraryLog(logging.Handler):
    """What uvicorn and asyncio have to say, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            log_error(record.name, record.exc_info[1], level=record.levelname)
        else:
            log(record.name, message=record.getMessage(), level=record.levelname)


def take_over_library_logs() -> None:
    handler = LibraryLog(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").handlers = []
    logging.getLogger("uvicorn.error").propagate = True

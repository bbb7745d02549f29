"""Progress with the remaining time: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crosstune.processes import is_first

SILENT_SECONDS = 2.0
LINE_EVERY_SECONDS = 15.0


def say(message: str) -> None:
    """Prints a line for the person watching, on standard error; results go to standard output. Of several
    processes the first speaks."""
    if is_first():
        tell(message)


def tell(message: str) -> None:
    """The same from whichever process; in one write, so that nothing comes between a line and its end."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`. Nothing is shown for work that ends within two seconds."""
    if sys.stderr.isatty() and is_first():
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _lines(label, total)


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=total)
    started = time.monotonic()
    shown = False

    def advance(count: int) -> None:
        nonlocal shown
        bar.advance(task, count)
        if not shown and time.monotonic() - started > SILENT_SECONDS:
            bar.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


def _lines(label: str, total: int) -> Callable[[int], None]:
    started = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        due = SILENT_SECONDS if last == started else LINE_EVERY_SECONDS
        if done < total and now - last >= due:
            last = now
            left = (now - started) / done * (total - done) if done else 0.0
            say(f"  {label}: {done}/{total} ({100 * done // total} %), about {duration(left)} left")

    return advance

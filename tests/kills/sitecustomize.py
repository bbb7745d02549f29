"""For processes that a test kills: their PYTHONPATH names this folder, so that Python loads it at its start.

KILL_AT holds `MODULE:FUNCTION NUMBER`: that call of the function begins with SIGKILL of its own process.
FAIL_AT, the same: that call raises an error of the disk. KILL_PLACE is the process that is meant, of several.
"""

from __future__ import annotations

import errno
import functools
import importlib.abc
import importlib.util
import os
import signal
import sys


class _Finder(importlib.abc.MetaPathFinder):
    """Puts `instead` in the place of the function as soon as its module is loaded."""

    def __init__(self, module: str, name: str, instead: object) -> None:
        self.module, self.name, self.instead = module, name, instead

    def find_spec(self, fullname: str, path: object, target: object = None) -> object:
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        load = spec.loader.exec_module

        def load_and_replace(module: object) -> None:
            load(module)
            *owners, last = self.name.split(".")
            owner = functools.reduce(getattr, owners, module)
            setattr(owner, last, self.instead(getattr(owner, last)))

        spec.loader.exec_module = load_and_replace
        return spec


def _at(where: str, act: object) -> None:
    place, number = where.split()
    left = [int(number)]

    def instead(function: object) -> object:
        @functools.wraps(function)
        def counted(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                act()
            return function(*arguments, **named)

        return counted

    sys.meta_path.insert(0, _Finder(*place.split(":"), instead))


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), "disk")


if os.environ.get("RANK", "0") == os.environ.get("KILL_PLACE", "0"):
    if "KILL_AT" in os.environ:
        _at(os.environ["KILL_AT"], _kill)
    if "FAIL_AT" in os.environ:
        _at(os.environ["FAIL_AT"], _fail)

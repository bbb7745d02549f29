"""The two errors that a user is meant to see, each with its exit code, and what others' errors say."""

from __future__ import annotations


def first_line(error: Exception) -> str:
    """What another library's error says, in a line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class CrosstuneError(Exception):
    """Something a user can mend. The message names file, line or key, what was found, what was
    expected and what to do; the command line prints it without a traceback."""

    exit_code = 2


class InputError(CrosstuneError):
    """Bad input: a file, a recipe, a model or a call that cannot be used as it is (exit 2)."""


class CheckFailed(CrosstuneError):  # noqa: N818
    """The work was done and a check on its result failed (exit 1)."""

    exit_code = 1


class MissingExtra(InputError):  # noqa: N818
    """A part that needs an extra was called without it."""

    def __init__(self, what: str, extra: str) -> None:
        self._arguments = what, extra
        super().__init__(
            f"{what} needs more packages: pip install 'crosstune[{extra}]' (in a clone '.[{extra}]')"
        )

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """A worker of another process raises it as it is."""
        return MissingExtra, self._arguments

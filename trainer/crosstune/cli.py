"""The command line. Exit codes: 0 done, 1 a check failed, 2 bad input, 3 a fault of crosstune's own, 130
stopped by Ctrl-C."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from crosstune.commands import (
    compare,
    convert,
    doctor,
    evaluate,
    gate,
    inspect,
    label,
    merge,
    parity,
    plan,
    push,
    rank,
    report,
    review,
    run,
    score,
    serve,
    sweep,
    synthesize,
)
from crosstune.errors import CheckFailed, CrosstuneError, InputError, MissingExtra
from crosstune.full_disk import is_full_disk
from crosstune.processes import JOINT_STAGES, is_first, is_first_to_fail, is_lost_process
from crosstune.progress import say, tell

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Adapt a cross-encoder reranker to your own collection, and prove by how much it helps.",
)

# Some versions of typer bring a click of their own: its usage error is the base of typer's.
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]

INTERRUPTED = 130

JOINT = ("run", *JOINT_STAGES)
"""The commands that processes beside the first take part in."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crosstune {version('crosstune')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Adapt a cross-encoder reranker to your own collection, and prove by how much it helps."""


for _command in (
    run,
    sweep,
    merge,
    doctor,
    convert,
    synthesize,
    label,
    evaluate,
    report,
    compare,
    gate,
    plan,
    parity,
    push,
    inspect,
    review,
    rank,
    score,
    serve,
):
    _command.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits; an error of the user's is one message, not a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if isinstance(sys.stdout, TextIOWrapper):  # a text that cannot be printed is printed with escapes
        sys.stdout.reconfigure(errors="backslashreplace")
    # Registered first, so run last: from there on Python puts back the handler that dies by the signal.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        code = _guarded(words, debug)
    except KeyboardInterrupt:  # a second one, before the first was answered
        code = _stopped()
    sys.exit(code)


def _guarded(words: list[str], debug: bool) -> int:  # noqa: PLR0911
    words = [word for word in words if word != "--debug"]
    if not is_first() and words[:1] not in [[command] for command in JOINT]:
        return 0
    try:
        result: Any = app(words, standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:  # click answers some of the Ctrl-C itself, and silently
            raise KeyboardInterrupt
        return code
    except USAGE_ERROR as error:
        if is_first_to_fail():
            error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return _stopped()
    except CrosstuneError as error:
        return _report(error, error.exit_code, debug)
    except PackageNotFoundError as error:
        return _report(
            InputError(
                f"the package {error.name} is not installed, though its code may be found (by PYTHONPATH?); "
                "install it with pip, so that its version can be recorded"
            ),
            2,
            debug,
        )
    except ModuleNotFoundError as error:
        return _report(MissingExtra(f"this command (module {error.name})", "train"), 2, debug)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        advice = "; free some there, or have it written elsewhere" if is_full_disk(error) else ""
        return _report(InputError(f"{where}{error.strerror or error}{advice}"), 2, debug)
    except Exception as error:
        if is_lost_process(error):
            return _report(
                CheckFailed("another process of this launch has ended; the same command goes on from here"),
                1,
                debug,
            )
        say("this should not have happened; please report it with the traceback that --debug shows")
        return _report(error, 3, debug)


def _stopped() -> int:
    # CPython remembers an interrupt of code that is run from a string (dataclasses does so while they are
    # imported), caught or not, and would die by the signal in place of this code: the next string forgets it.
    exec("")  # nosec B102
    # A further one ends what still winds up.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    if is_first_to_fail():
        tell("stopped; the same command goes on from here")
    return INTERRUPTED


def _report(error: Exception, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if is_first_to_fail():
        named = isinstance(error, CrosstuneError)
        tell(f"error: {error}" if named else f"error: {type(error).__name__}: {error}")
    return code


if __name__ == "__main__":
    main()

"""A gate's result as JUnit XML, which build servers show check by check."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from crosstune.files import staged_file
from crosstune.results.gate import Check

SUITE = "crosstune gate"


def write_checks(path: Path, run: str, checks: Iterable[Check]) -> None:
    """A test case a check, a failure for each that did not pass."""
    cases = []
    for check in checks:
        case = TestCase(_text(check.name), _text(run))
        if not check.passed:
            case.result = [Failure(_text(f"{check.name}: found {check.found}"))]
        cases.append(case)
    _write(path, cases)


def write_error(path: Path, run: str, message: str) -> None:
    """One case in error: nothing could be checked, and an older file must not stand for this gate."""
    case = TestCase("input", _text(run))
    case.result = [Error(_text(message))]
    _write(path, [case])


def _write(path: Path, cases: list[TestCase]) -> None:
    suite = TestSuite(SUITE)
    suite.add_testcases(cases)
    document = JUnitXml()
    document.add_testsuite(suite)
    with staged_file(path) as temporary:
        document.write(str(temporary), pretty=True)


def _text(text: str) -> str:
    """XML has no control characters, a file's name may."""
    return "".join(character if character.isprintable() else "?" for character in text)

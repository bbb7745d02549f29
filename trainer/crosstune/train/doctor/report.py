"""`doctor.json`: what the doctor knew and found, and its reading for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import read_json, without_overflow, write_json
from crosstune.train.doctor.curve import LOG, curve, log_rows
from crosstune.train.doctor.diagnose import diagnose
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.leaks import Leaks, Word

NAME = "doctor.json"
SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """`state`: `running` (or killed), `stopped` (by `failure`) or `done`."""

    state: str
    failure: str | None
    plan: Plan
    data: DataSigns
    diagnoses: tuple[Diagnosis, ...]


def write_report(folder: Path, report: Report) -> None:
    found = {"schema": SCHEMA, "healthy": not report.diagnoses, **asdict(report)}
    write_json(folder / NAME, without_overflow(found))  # a gradient may overflow while the loss does not


def read_report(folder: Path) -> Report:
    """The report of a training's folder, its diagnoses made anew from the log.

    Raises `InputError` where there is none, and for one of another schema.
    """
    path = folder / NAME
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; a run of a collection, trained by a crosstune with the doctor, is needed"
        )
    kept = read_json(path)
    try:
        if kept["schema"] != SCHEMA:
            raise InputError(f"{path}: schema {kept['schema']}, {SCHEMA} was expected; train again")
        plan, data = Plan(**kept["plan"]), _data(kept["data"])
        state, failure = str(kept["state"]), kept["failure"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: is not what training writes ({error}); train again") from None
    return Report(state, failure, plan, data, diagnose(plan, data, log_rows(folder), failure))


def _data(kept: Mapping[str, Any]) -> DataSigns:
    known = {"leaks": {}, **kept}  # a crosstune before knew of none
    leaks = {"word": None, **known["leaks"]}
    word = None if leaks["word"] is None else Word(**leaks["word"])
    return DataSigns(**{**known, "leaks": Leaks(**{**leaks, "word": word})})


def figures(folder: Path, report: Report) -> dict[str, Any]:
    """What was watched, at the end of the log in `folder`; empty before its first entry."""
    rows = log_rows(folder)
    end = curve(report.plan, rows).end
    names = ("loss", "flat_loss", "spread", "pairs_right", "top", "grad_norm", "head_grad")
    found = {name: end.mean(name) for name in names}
    found |= {"gain": end.gain, "length_order": end.mean("length_order", "length_pairs")}
    return {name: value for name, value in found.items() if value is not None} | _dev(rows)


def _dev(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    last = next((row for row in reversed(rows) if "eval_nDCG@10" in row), None)
    return {name: value for name, value in (last or {}).items() if name.startswith("eval_")}


def render(diagnosis: Diagnosis) -> str:
    """A few lines: the name, what it is, the figures, and what to do."""
    seen = ", ".join(
        f"{name.replace('_', ' ')} {_shown(value)}" for name, value in diagnosis.evidence.items()
    )
    change = " ".join(f"{key}={_shown(value)}" for key, value in diagnosis.change.items())
    return f"{diagnosis.name}: {diagnosis.what}\n    evidence: {seen}\n    what to do: {diagnosis.do}" + (
        f"\n    in the recipe: {change}" if change else ""
    )


def render_report(folder: Path, report: Report) -> str:
    last = max((row["step"] for row in log_rows(folder)), default=0)
    lines = [f"{folder}: training {report.state}, step {last} of {report.plan.steps} ({LOG})"]
    lines += [f"  {name:<18} {_shown(value)}" for name, value in figures(folder, report).items()]
    lines += [render(diagnosis) for diagnosis in report.diagnoses] or ["no diagnosis: it looks healthy"]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)

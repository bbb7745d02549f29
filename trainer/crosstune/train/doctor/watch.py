"""The doctor during training: it writes `doctor.json`, and stops what is certainly lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from crosstune.errors import CheckFailed
from crosstune.processes import is_first
from crosstune.progress import say
from crosstune.train.doctor.curve import log_rows
from crosstune.train.doctor.diagnose import certainly_lost, diagnose
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.report import Report, render, write_report
from crosstune.train.doctor.signs import StepSigns
from crosstune.train.doctor.thresholds import FLAT_SPREAD

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments


class Doctor(TrainerCallback):  # type: ignore[misc]
    """Comes after `JsonlLog`, whose file in `folder` it reads. A training that is certainly lost ends early
    where an evaluation has seen a model that tells documents apart, since its checkpoint then counts;
    otherwise it is stopped by `CheckFailed`. `signs` is what the loop hands its steps to."""

    def __init__(self, plan: Plan, data: DataSigns, folder: Path) -> None:
        self._plan = plan
        self._data = data
        self.signs = StepSigns()
        self._folder = folder
        self._told: set[str] = set()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._tell(self._report("running").diagnoses)

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel,
        **_: Any,
    ) -> None:
        self.signs.head(model)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not certainly_lost(self._plan, state.log_history):
            return
        if any(row.get("eval_spread", 0.0) > FLAT_SPREAD for row in state.log_history):
            say("  doctor: the scores are constant and have no gradient; the best checkpoint so far counts")
            control.should_training_stop = control.should_save = True
            return
        found = diagnose(self._plan, self._data, log_rows(self._folder))
        raise CheckFailed(
            f"training stopped at step {state.global_step}: the scores are constant and have no gradient\n"
            + "\n".join(render(diagnosis) for diagnosis in found)
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around the training: what ends it by `CheckFailed` is kept for `crosstune doctor`."""
        try:
            yield
        except CheckFailed as error:
            self._report("stopped", str(error))
            raise

    def verdict(self) -> tuple[Diagnosis, ...]:
        """Of the whole training: writes `doctor.json` and says each diagnosis that was not said before."""
        report = self._report("done")
        self._tell(report.diagnoses)
        if not report.diagnoses:
            say("  doctor: no diagnosis, the training looks healthy")
        return report.diagnoses

    def _report(self, state: str, reason: str | None = None) -> Report:
        found = diagnose(self._plan, self._data, log_rows(self._folder), reason)
        report = Report(state, reason, self._plan, self._data, found)
        if is_first():
            write_report(self._folder, report)
        return report

    def _tell(self, diagnoses: tuple[Diagnosis, ...]) -> None:
        for diagnosis in diagnoses:
            if diagnosis.name not in self._told:
                say(f"  doctor: {render(diagnosis)}")
                self._told.add(diagnosis.name)

"""MLflow. Its own settings hold: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and the others."""

from __future__ import annotations

import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from crosstune.train.trackers.base import Facts, Results

if TYPE_CHECKING:
    from transformers import TrainerCallback

LONGEST_VALUE = 500
"""Characters of a parameter's value, by the oldest servers that are in use."""
AT_ONCE = 100
"""Parameters that MLflow takes in one call."""


class MLflow:
    """System use is sampled by MLflow while the training runs."""

    def begin(self, known: str | None, facts: Facts | None) -> str:
        import mlflow

        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "crosstune"))
        name = facts.name if facts else None
        run: Any = mlflow.start_run(run_id=known, run_name=None if known else name, log_system_metrics=True)
        if facts is not None and known is None:
            values = {key: str(value)[:LONGEST_VALUE] for key, value in facts.parameters().items()}
            parameters = iter(values.items())
            while batch := dict(islice(parameters, AT_ONCE)):
                mlflow.log_params(batch)
            if "git.commit" in values:
                mlflow.set_tag("mlflow.source.git.commit", values["git.commit"])
        return str(run.info.run_id)

    def callback(self) -> TrainerCallback:
        from transformers.integrations import MLflowCallback

        return MLflowCallback()

    def end(self, *, failed: bool) -> None:
        import mlflow

        mlflow.end_run("FAILED" if failed else "FINISHED")

    def results(self, known: str, results: Results) -> None:
        from mlflow import MlflowClient

        client = MlflowClient()
        for name, value in results.figures().items():
            client.log_metric(known, re.sub(r"[^\w.:/ -]", "_", name), value)
        head, rows = results.rows()
        client.log_dict(known, {"columns": head, "data": rows}, "final/table.json")
        for path in results.files:
            client.log_artifact(known, str(path), "final")

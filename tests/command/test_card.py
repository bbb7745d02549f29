"""The model card of an export: the hub's reader takes it, its figures are the run's, its code runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import Crosstune
from huggingface_hub import ModelCard

from crosstune.serve import Reranker


def test_a_card_that_tells_the_run(recipe: Path, tmp_path: Path, crosstune: Crosstune) -> None:
    root = tmp_path / "run"
    assert crosstune("run", recipe, f"run_dir={root}").code == 0
    metrics = json.loads((root / "evaluate" / "metrics.json").read_text())
    export = root / "export"
    card = ModelCard.load(export / "README.md")
    data = card.data.to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == ("sentence-transformers", "text-ranking")
    measured = {result.metric_name: result.metric_value for result in card.data.eval_results or []}
    assert measured == pytest.approx(metrics["splits"]["test"][metrics["recommended"]])
    for system, name in {"first_stage": "first stage", "tuned": "this model"}.items():
        assert f"| {name} | {metrics['splits']['test'][system]['nDCG@10']:.3f} |" in card.text
    found = metrics["comparison"][f"{metrics['recommended']} against first_stage"]["nDCG@10"]
    assert (
        f"{found['difference']:+.3f} nDCG@10, 95 % interval [{found['low']:+.3f}, {found['high']:+.3f}]"
        in card.text
    )

    code = re.findall(r"```python\n(.*?)```", card.text, flags=re.DOTALL)[0].replace("FOLDER", str(export))
    exec(
        code,
        {"query": "open", "document": "a file", "documents": ["the list", "a file"], "scores": [1.0, 2.0]},
    )

    assert "README.md" not in json.loads((export / "manifest.json").read_text())["files"]
    (export / "README.md").write_text("license: mit")
    assert len(Reranker(export).rank("open", ["a file", "the list"])) == 2, "the card is the user's to edit"

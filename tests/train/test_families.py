"""Every family from a base without a head to an export: trained, exported, and equal in other readers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from crosstune.export import ExportSettings, export_model
from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule
from doctor_cases import marked_groups, run
from families import FAMILIES, tiny_base

RULE = LengthRule(max_tokens=48, max_query_tokens=12)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_trained_exported_and_read_elsewhere(family: str, tmp_path: Path) -> None:
    groups = marked_groups(192)
    base = tiny_base(tmp_path / "base", family)
    out = run(tmp_path, groups, base=base, learning_rate=3e-3, teacher="adapted")
    dev = json.loads((out / "train.json").read_text())["dev"]
    assert dev["tuned"] > max(dev["base"], dev["first_stage"]) + 0.1, "it learns"

    pairs = [(group.query, doc) for group in groups[:10] for doc in group.docs]
    context = {"base_model": family, "recipe": {"name": "t"}, "data_fingerprint": "0", "metrics": {}}
    export = tmp_path / "export"
    export_model(out / "model", RULE, pairs, ExportSettings(), context, export)
    found = [score.logit for score in Reranker(export).score(pairs)]

    # The pair as the family's own tokenizer lays it out, through the family's own code.
    tokenizer = AutoTokenizer.from_pretrained(export)
    model = AutoModelForSequenceClassification.from_pretrained(export).eval()
    inputs = tokenizer(*zip(*pairs, strict=True), padding=True, return_tensors="pt")
    assert inputs["input_ids"].shape[1] <= RULE.max_tokens, "nothing is cut"
    with torch.inference_mode():
        expected = model(**inputs).logits[:, 0]
    assert expected.std() > 1e-2
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-4, rtol=0)

    peer = CrossEncoder(str(export), device="cpu", activation_fn=torch.nn.Identity())
    scores = torch.as_tensor(peer.predict(pairs, show_progress_bar=False))
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)

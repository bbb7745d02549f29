"""Alphas, what cannot be merged, and the rule that chooses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from collections_of_words import write_collection
from crosstune.errors import InputError
from crosstune.merge.alphas import parse_alphas
from crosstune.merge.choose import chosen, differences, points
from crosstune.merge.inputs import Request
from crosstune.merge.merge import merge
from crosstune.merge.weights import check_mergeable, load_ends
from crosstune.serve.pairs import LengthRule, PairEncoder
from families import tiny_base
from models import tiny_cross_encoder

RULE = LengthRule(32, 12)


def test_alphas_are_read() -> None:
    assert parse_alphas("0:1:.1") == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert parse_alphas(".3,.6") == [0, 0.3, 0.6, 1], "the ends are always there"
    assert parse_alphas("0.2:0.4:0.1") == [0, 0.2, 0.3, 0.4, 1]


def test_two_plain_cross_encoders_are_merged(tmp_path: Path) -> None:
    write_collection(tmp_path / "own", {"dev": 6}, 20)
    write_collection(tmp_path / "other", {"dev": 6}, 20)
    ends = tiny_cross_encoder(tmp_path / "base"), tiny_cross_encoder(tmp_path / "tuned", seed=3)
    own, other = (f"beir:{tmp_path / name}" for name in ("own", "other"))
    out = tmp_path / "merged"
    request = Request(str(ends[0]), ends[1], [0, 0.5, 1], other, own, out, 48, 16, 13, 200)
    result = merge(request).result
    assert not merge(request).runnable, "what is done is read, not done again"
    start, end, merged = (load_file(path / "model.safetensors") for path in (*ends, out / "model"))
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, torch.lerp(start[name], end[name], result["alpha"]))
    assert {path.name for path in out.iterdir()} == {"model", "merge.json", "merge.html"}
    assert PairEncoder.from_folder(out / "model", RULE)
    with pytest.raises(InputError, match="give --out FOLDER as well"):
        merge(dataclasses.replace(request, out=None))
    with pytest.raises(InputError, match="no other domain to see forgetting on: give --probe"):
        merge(dataclasses.replace(request, probe=None))
    (tmp_path / "other/qrels/dev.tsv").rename(tmp_path / "other/qrels/test.tsv")
    with pytest.raises(InputError, match="no split dev"):
        merge(dataclasses.replace(request, out=tmp_path / "third"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="something that merge did not write"):
        merge(dataclasses.replace(request, probe=own, out=tmp_path / "mine"))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_every_alpha_of_a_range_lies_in_it_a_step_apart(one: float, other: float, step: float) -> None:
    low, high = sorted((one, other))
    alphas = parse_alphas(f"{low!r}:{high!r}:{step!r}")
    assert alphas == sorted(set(alphas)) and (alphas[0], alphas[-1]) == (0, 1)
    for alpha in alphas[1:-1]:
        assert low - 1e-5 <= alpha <= high + 1e-5
        assert abs((alpha - low) / step - round((alpha - low) / step)) < 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:1.5:.1", "1.5 lies outside of 0 to 1"),
        ("-0.5,1", "-0.5 lies outside of 0 to 1"),
        ("0:1:0", "a STEP above 0"),
        ("1:0:.1", "LOW <= HIGH"),
        ("0:1:.001", "more than 101"),
        ("a,b", "'a' is no number"),
        ("0:nan:.1", "'nan' is no number"),
        ("0:1", "LOW:HIGH:STEP"),
        ("", "'' is no number"),
    ],
)
def test_alphas_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_alphas(text)


def test_models_that_cannot_be_merged(tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "model")
    check_mergeable(model, tiny_cross_encoder(tmp_path / "same", seed=3))
    two = tiny_cross_encoder(tmp_path / "two", num_labels=2)
    with pytest.raises(InputError, match=r"two has 2 labels, .*model 1"):
        check_mergeable(two, model)
    with pytest.raises(InputError, match="has no ranking head"):
        check_mergeable(tiny_base(tmp_path / "bare", "bert"), model)
    electra = tiny_cross_encoder(tmp_path / "electra")
    config = json.loads((electra / "config.json").read_text())
    (electra / "config.json").write_text(json.dumps({**config, "model_type": "electra"}))
    with pytest.raises(InputError, match=r"of type electra, .* of type bert"):
        check_mergeable(electra, model)
    words = tiny_cross_encoder(tmp_path / "words")
    tokenizer = (words / "tokenizer.json").read_text()
    (words / "tokenizer.json").write_text(tokenizer.replace('"parse"', '"purse"'))
    with pytest.raises(InputError, match=r"other vocabularies .*'parse' is not the same"):
        check_mergeable(words, model)


def test_models_that_are_not_built_alike(tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "model")
    wide = tiny_cross_encoder(tmp_path / "wide", intermediate_size=128)
    with pytest.raises(InputError, match=r"is of size \[128\] in .*wide and of size \[64\] in .*model"):
        load_ends(wide, model, RULE, 0)
    deep = tiny_cross_encoder(tmp_path / "deep", num_hidden_layers=3)
    with pytest.raises(InputError, match=r"encoder.layer.2.* is missing in .*model and of size"):
        load_ends(model, deep, RULE, 0)


VALUES = {
    "domain": {0.0: {"a": 0.2, "b": 0.4}, 0.5: {"a": 0.6, "b": 0.4}, 1.0: {"a": 0.6, "b": 0.6}},
    "probe": {0.0: {"x": 0.8, "y": 0.8}, 0.5: {"x": 0.8, "y": 0.6}, 1.0: {"x": 0.2, "y": 0.2}},
}


def test_the_rule_weighs_both_domains_by_their_best() -> None:
    curve = points(VALUES, 1, 200)
    # .3/.6 and .8/.8, .5/.6 and .7/.8, .6/.6 and .2/.8
    assert [point.value for point in curve] == pytest.approx([0.75, 0.8541667, 0.625])
    assert chosen(curve).alpha == 0.5
    assert curve[0].probe_interval == (0.8, 0.8)
    against = differences(VALUES, 0.5, 1, 200)
    assert against["domain"]["tuned"]["difference"] == pytest.approx(-0.1)
    assert against["probe"]["tuned"]["difference"] == pytest.approx(0.5)
    assert against["probe"]["base"]["losses"] == 1


def test_at_a_tie_the_nearer_to_the_base_is_taken_and_a_domain_of_zeros_decides_nothing() -> None:
    flat = {alpha: {"a": 0.0} for alpha in (0.0, 0.5, 1.0)}
    probe = {0.0: {"x": 0.5}, 0.5: {"x": 0.7}, 1.0: {"x": 0.7}}
    assert chosen(points({"domain": flat, "probe": probe}, 1, 200)).alpha == 0.5

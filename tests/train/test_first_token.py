"""The last layer for the first token alone: the same logits, for any number of layers and each family."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from crosstune.export.onnx import write_onnx
from crosstune.first_token import FAMILIES, last_layer_for_first_token
from crosstune.serve.pairs import model_input_names
from encoders import gradients, padded_batch, tiny_encoder


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [1, 7])
def test_logits_are_those_of_the_whole_layer(family: str, layers: int, attention: str) -> None:
    model = tiny_encoder(family, layers)
    model.set_attn_implementation(attention)
    batch, widths = padded_batch(), []
    with torch.inference_mode():
        expected = model(**batch).logits
        with last_layer_for_first_token(model) as smaller:
            assert smaller
            last = model.base_model.encoder.layer[-1]
            last.register_forward_hook(lambda _module, _inputs, output: widths.append(output.shape[1]))
            found = model(**batch).logits
        again = model(**batch).logits
    assert expected.std() > 1e-3
    assert widths == [1]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert torch.equal(again, expected), "the block leaves the model as it was"


def test_other_families_stay_as_they_are() -> None:
    model = tiny_encoder("distilbert", 2, dim=32, n_heads=4, n_layers=2, hidden_dim=64)
    with last_layer_for_first_token(model) as smaller:
        assert not smaller


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_the_graph_is_smaller_and_gives_torchs_logits(family: str, tmp_path: Path) -> None:
    model = tiny_encoder(family, 3)
    names = model_input_names(model.config)
    before = model.config._attn_implementation
    write_onnx(model, names, tmp_path / "onnx" / "model.onnx")
    assert model.config._attn_implementation == before
    graph = onnx.load(tmp_path / "onnx" / "model.onnx")
    assert {item.domain for item in graph.opset_import} <= {""}, "standard operators alone"
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    assert [item.name for item in session.get_inputs()] == names
    batch = {name: tensor for name, tensor in padded_batch().items() if name in names}
    with torch.inference_mode():
        expected = model(**batch).logits
    found = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})[0]
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=2e-5, rtol=0)
    queries = [node for node in graph.graph.node if node.op_type == "Slice"]
    assert queries, "the last layer's queries are cut to the first token"


def test_gradients_are_those_of_the_whole_layer() -> None:
    model = tiny_encoder("bert").double().train()
    expected = gradients(model)
    with last_layer_for_first_token(model) as smaller:
        assert smaller
        found = gradients(model)
    assert max(float(g.abs().max()) for g in expected) > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)


def test_dropped_attention_keeps_the_layers_own_code() -> None:
    model = tiny_encoder("bert", 2, attention_probs_dropout_prob=0.1).train()
    with last_layer_for_first_token(model) as smaller:
        assert not smaller

"""text-embeddings-inference and vLLM as readers of an export: validators from their sources, since neither
can be installed here. Every family passes with the servers that know it, and each demand refuses a folder
that breaks it."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

import tei_reader
import vllm_reader
from crosstune.export import ExportSettings, export_model
from crosstune.export.hf import write_hf_folder
from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule, PairEncoder, model_input_names
from families import FAMILIES, IDENTITY, THETAS, tiny_classifier
from models import WORDS
from served import tiny_export
from server_demands import RefusedError

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"
RULE = LengthRule(max_tokens=60, max_query_tokens=24)
VLLM_REFUSES = ("electra", "distilbert", "deberta-v2")
CANDLE_ROUNDS = 2e-3
"""How far a logit may be from the exact one: candle's GELU is the tanh approximation."""


Reader = Callable[[Path], Callable[[], object]]
"""Of a folder what starts the part of a server that is asked, when the parts before it have started."""


def _pairs(count: int) -> list[tuple[str, str]]:
    rng = random.Random(3)
    words = [*WORDS, "x7", "Open,", "(a)"]
    return [
        (" ".join(rng.choices(words, k=rng.randint(1, 2))), " ".join(rng.choices(words, k=rng.randint(1, 5))))
        for _ in range(count)
    ]


PAIRS = _pairs(20)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The Hugging Face files of an export of each family, without the further formats."""
    root = tmp_path_factory.mktemp("folders")
    found = {}
    for family in FAMILIES:
        model, out = tiny_classifier(root / family / "model", family), root / family / "out"
        out.mkdir()
        write_hf_folder(model, RULE, model_input_names(AutoConfig.from_pretrained(model)), out)
        found[family] = out
    return found


@pytest.fixture
def broken(request: pytest.FixtureRequest, folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy to break, of a family's folder or of the whole export of a BERT with its ONNX file."""

    def copy(family: str) -> Path:
        source = tiny_export() if family == "export" else folders[family]
        return Path(shutil.copytree(source, tmp_path / "copy"))

    return copy


def _sigmoids(logits: list[float]) -> list[float]:
    return [float(1 / (1 + np.exp(-logit))) for logit in logits]


def _exact_logits(folder: Path, encode: Callable[[str, str], tuple[list[int], list[int]]]) -> list[float]:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    logits = []
    for pair in PAIRS:
        ids, types = encode(*pair)
        every = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
        names = [name for name in model_input_names(model.config) if name in every]
        with torch.no_grad():
            logits.append(float(model(**{name: every[name] for name in names}).logits[0, 0]))
    return logits


@pytest.mark.parametrize("family", FAMILIES)
def test_tei_on_a_gpu_reads_every_family_but_electra(folders: dict[str, Path], family: str) -> None:
    router = tei_reader.start_router(folders[family])
    assert (router.kind, router.labels, router.max_input_length) == ("reranker", 1, RULE.max_tokens)
    if family == "electra":
        with pytest.raises(RefusedError, match="unknown variant electra"):
            tei_reader.start_candle(folders[family], router)
    else:
        assert tei_reader.start_candle(folders[family], router) == "F32"


@pytest.mark.parametrize("family", FAMILIES)
def test_vllm_reads_the_families_that_it_has_models_of(folders: dict[str, Path], family: str) -> None:
    if family in VLLM_REFUSES:
        with pytest.raises(RefusedError, match="no model of its own"):
            vllm_reader.start(folders[family])
        return
    started = vllm_reader.start(folders[family])
    assert (started.max_model_len, started.weights) == (RULE.max_tokens, "F32")
    assert started.activation is torch.nn.Sigmoid


@pytest.mark.parametrize("family", FAMILIES)
def test_the_servers_pairs_are_the_helpers(folders: dict[str, Path], family: str) -> None:
    router = tei_reader.start_router(folders[family])
    helper = PairEncoder.from_folder(folders[family], RULE).encode(PAIRS)
    assert not any(pair.cut_query or pair.cut_passage for pair in helper), "short ones"
    for pair, (query, passage) in zip(helper, PAIRS, strict=True):
        row = router.encode(query, passage)
        assert (row.ids, row.type_ids) == (pair.input_ids, pair.token_type_ids)
        if family not in VLLM_REFUSES:
            types = pair.token_type_ids if family in ("bert", "minilm") else [0] * len(pair)
            assert vllm_reader.start(folders[family]).encode(query, passage) == (pair.input_ids, types)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "electra"])
def test_candle_scores_as_the_model_but_for_its_gelu(folders: dict[str, Path], family: str) -> None:
    router = tei_reader.start_router(folders[family])
    found = tei_reader.candle_logits(folders[family], router, PAIRS)
    assert found == pytest.approx(
        _exact_logits(folders[family], lambda *pair: _ids(router, *pair)), abs=CANDLE_ROUNDS
    )
    assert max(found) - min(found) > 100 * CANDLE_ROUNDS, "the pairs are told apart"


def _ids(router: tei_reader.Router, query: str, passage: str) -> tuple[list[int], list[int]]:
    row = router.encode(query, passage)
    return row.ids, row.type_ids


def test_an_over_long_pair_is_cut_to_what_the_model_takes(folders: dict[str, Path]) -> None:
    router = tei_reader.start_router(folders["bert"])
    with pytest.raises(RefusedError, match="must have less than 60 tokens"):
        router.encode("open", "file " * 100)
    assert len(router.encode("open", "file " * 100, truncate=True).ids) == RULE.max_tokens


def test_tei_on_a_cpu_scores_as_the_helper() -> None:
    router = tei_reader.start_router(tiny_export())
    session = tei_reader.start_onnx(tiny_export(), router)
    helper = [score.score for score in Reranker(tiny_export(), "onnx").score(PAIRS)]
    assert _sigmoids(tei_reader.onnx_logits(session, router, PAIRS)) == pytest.approx(helper, abs=1e-5)
    assert tei_reader.start_candle(tiny_export(), router) == "F32"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_export_scores_as_the_helper_in_the_servers(family: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_model(
        tiny_classifier(tmp_path / "model", family), RULE, PAIRS, ExportSettings(), {"base_model": "t"}, out
    )
    helper = Reranker(out, "onnx").score(PAIRS)
    scores, logits = [row.score for row in helper], [row.logit for row in helper]
    router = tei_reader.start_router(out)
    session = tei_reader.start_onnx(out, router)
    assert _sigmoids(tei_reader.onnx_logits(session, router, PAIRS)) == pytest.approx(scores, abs=1e-5)
    if family != "electra":
        assert tei_reader.candle_logits(out, router, PAIRS) == pytest.approx(logits, abs=CANDLE_ROUNDS)
    if family not in VLLM_REFUSES:
        started = vllm_reader.start(out)
        found = started.activation()(torch.tensor(_exact_logits(out, started.encode))).tolist()
        assert found == pytest.approx(scores, abs=1e-5)


def test_what_a_base_left_in_its_config_decides_nothing(folders: dict[str, Path]) -> None:
    """The bases here say `regression` and an identity, with which readers give raw logits."""
    base = json.loads((folders["bert"].parent / "model" / "config.json").read_text())
    assert (base["problem_type"], base["sbert_ce_default_activation_function"]) == ("regression", IDENTITY)
    classify = pipeline("text-classification", model=str(folders["bert"]))
    found = classify([{"text": query, "text_pair": passage} for query, passage in PAIRS])
    router = tei_reader.start_router(folders["bert"])
    expected = _sigmoids(_exact_logits(folders["bert"], lambda *pair: _ids(router, *pair)))
    assert [row["score"] for row in found] == pytest.approx(expected, abs=1e-4)


def test_values_under_two_names_are_read_as_one(folders: dict[str, Path]) -> None:
    """transformers 5 moved ModernBERT's thetas, and DistilBERT has its own names for sizes."""
    config = json.loads((folders["modernbert"] / "config.json").read_text())
    assert (config["global_rope_theta"], config["local_rope_theta"]) == tuple(THETAS.values())
    config = json.loads((folders["distilbert"] / "config.json").read_text())
    assert (
        (config["hidden_size"], config["num_hidden_layers"]) == (config["dim"], config["n_layers"]) == (32, 2)
    )
    for family in ("modernbert", "distilbert"):
        before, after = (
            AutoConfig.from_pretrained(folder).to_dict()
            for folder in (folders[family].parent / "model", folders[family])
        )
        other = {name for name, value in after.items() if before.get(name) != value} - {"_name_or_path"}
        assert other == {"sentence_transformers", "crosstune", "problem_type"}


def _edit(file: str = "config.json", drop: str = "", **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = json.loads((folder / file).read_text()) | values
        found.pop(drop, None)
        (folder / file).write_text(json.dumps(found))

    return change


def _weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        found = change(tensors)
        save_file(found if isinstance(found, dict) else tensors, path)

    return apply


def _remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def _tokenizer(folder: Path) -> None:
    """Segments of a BERT in a tokenizer whose model has one row of them."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    for piece in tokenizer["post_processor"]["pair"][-2:]:
        next(iter(piece.values()))["type_id"] = 1
    path.write_text(json.dumps(tokenizer))


def _onnx(change: Callable[[onnx.ModelProto], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "onnx" / "model.onnx"
        model = onnx.load(path)
        change(model)
        onnx.save(model, path)

    return apply


def _rename_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Identity", ["logits"], ["scores"]))
    model.graph.output[0].name = "scores"


def _half(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.output[:] = ["exact" if name == "logits" else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("Cast", ["exact"], ["logits"], to=onnx.TensorProto.FLOAT16))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def _rename_input(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.input[:] = ["mask" if name == "attention_mask" else name for name in node.input]
    next(given for given in model.graph.input if given.name == "attention_mask").name = "mask"


ROUTER: list[tuple[str, Callable[[Path], None], str]] = [
    ("bert", _edit(drop="architectures"), "architectures is no list"),
    ("bert", _edit(architectures=["BertModel"]), "model is not a re-ranker model"),
    ("bert", _edit(drop="model_type"), "missing field model_type"),
    ("bert", _edit(drop="max_position_embeddings"), "missing field max_position_embeddings"),
    ("bert", _edit(max_position_embeddings=64.5), "max_position_embeddings is 64.5, a whole number"),
    ("bert", _edit(pad_token_id="0"), "pad_token_id is '0', a whole number"),
    ("bert", _edit(drop="id2label"), "does not contain id2label"),
    ("bert", _edit(drop="label2id"), "does not contain label2id"),
    ("bert", _edit(id2label={"0": 0}), "id2label.0 is 0, a string"),
    ("bert", _edit(label2id={"LABEL_0": "0"}), "label2id.LABEL_0 is '0', a whole number"),
    ("bert", _remove("config.json"), "config.json: cannot be read"),
    ("bert", _remove("tokenizer.json"), "tokenizer.json not found"),
    ("bert", lambda folder: (folder / "tokenizer.json").write_text("{}") and None, "tokenizer.json: "),
    ("bert", _edit("sentence_bert_config.json", drop="max_seq_length"), "missing field max_seq_length"),
    (
        "bert",
        _edit("sentence_bert_config.json", max_seq_length=48.0),
        "max_seq_length is 48.0, a whole number",
    ),
    (
        "bert",
        _edit("config_sentence_transformers.json", prompts={"query": 1}),
        "prompts.query is 1, a string",
    ),
]
CANDLE: list[tuple[str, Callable[[Path], None], str]] = [
    ("bert", _edit(drop="hidden_act"), "missing field hidden_act"),
    ("bert", _edit(hidden_act="gelu_new"), "hidden_act is 'gelu_new', known are"),
    ("bert", _edit(drop="pad_token_id"), "missing field pad_token_id"),
    ("bert", _edit(layer_norm_eps="1e-12"), "layer_norm_eps is '1e-12', a number"),
    ("bert", _edit(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key'"),
    ("bert", _edit(id2label={"0": "a", "1": "b"}), r"classifier.weight has shape \(1, 32\), \(2, 32\) was"),
    ("bert", _edit(vocab_size=50), "tokens, the model's vocabulary 50"),
    ("bert", _edit("sentence_bert_config.json", max_seq_length=65), "position 64 is asked for, of 64"),
    ("roberta", _edit("sentence_bert_config.json", max_seq_length=64), "position 66 is asked for, of 66"),
    ("xlm-roberta", _tokenizer, "segment 1 is asked for, of 1"),
    ("distilbert", _edit(drop="n_heads"), "missing field n_heads"),
    ("modernbert", _edit(drop="global_rope_theta"), "missing field global_rope_theta"),
    ("modernbert", _edit(drop="local_rope_theta"), "missing field local_rope_theta"),
    ("modernbert", _edit(classifier_pooling="max"), "classifier_pooling is 'max', known are cls, mean"),
    ("deberta-v2", _edit(drop="pos_att_type"), "missing field pos_att_type"),
    ("deberta-v2", _edit(drop="pooler_hidden_size"), "missing field pooler_hidden_size"),
    ("deberta-v2", _edit(conv_kernel_size=3), "a convolution is not implemented"),
    (
        "deberta-v2",
        _edit(share_att_key=False),
        "cannot find tensor .*pos_query_proj.weight|pos_key_proj.weight",
    ),
    ("bert", _remove("model.safetensors"), "model.safetensors: is missing"),
    (
        "bert",
        _weights(lambda t: {f"model.{name}": v for name, v in t.items()}),
        "cannot find tensor bert.embeddings",
    ),
    ("bert", _weights(lambda t: t.pop("classifier.bias")), "cannot find tensor classifier.bias"),
    ("electra", _edit(), "unknown variant electra"),
    (
        "bert",
        _weights(lambda t: t | {"classifier.weight": np.zeros((1, 32), np.int8)}),
        "classifier.weight is I8, no floating point",
    ),
]
ONNX: list[tuple[str, Callable[[Path], None], str]] = [
    ("bert", _edit(), "onnx/model.onnx: does not exist"),
    ("export", _edit(drop="hidden_size"), "missing field hidden_size"),
    ("export", _edit("tokenizer_config.json", padding_side="both"), "padding_side is 'both'"),
    ("export", _onnx(_rename_output), "logits in float32 are read"),
    ("export", _onnx(_half), r"logits in float32 are read, the outputs are .*tensor\(float16\)"),
    ("export", _onnx(_rename_input), "input mask is given nothing"),
]
VLLM: list[tuple[str, Callable[[Path], None], str]] = [
    ("bert", _edit(architectures=["BertModel"]), r"no model of its own for \['BertModel'\]"),
    ("bert", _edit(id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}), "num_labels == 1, here 2"),
    (
        "bert",
        _edit(sentence_transformers={"activation_fn": "torch.sigmoid"}),
        "torch.sigmoid is outside of torch.nn.modules",
    ),
    (
        "bert",
        _edit(sentence_transformers={"activation_fn": "torch.nn.modules.activation.Sigmoidal"}),
        "Sigmoidal cannot be imported",
    ),
    ("bert", _edit(problem_type="regression"), "releases differ in the activation: problem_type regression"),
    (
        "bert",
        _edit(sbert_ce_default_activation_function=IDENTITY),
        "releases differ in the activation: .*Identity",
    ),
    ("bert", _edit("sentence_bert_config.json", max_seq_length=65), "position 64 is asked for, of 64"),
    ("roberta", _edit("sentence_bert_config.json", max_seq_length=64), "position 66 is asked for, of 66"),
    (
        "bert",
        _weights(lambda t: t.pop("bert.pooler.dense.bias")),
        "cannot find tensor bert.pooler.dense.bias",
    ),
    (
        "bert",
        _weights(lambda t: t | {"teacher.weight": np.zeros(2)}),
        "no module or parameter named teacher.weight",
    ),
    (
        "bert",
        _edit("tokenizer_config.json", tokenizer_class="TokenizersBackend"),
        "tokenizer_class TokenizersBackend is unknown to transformers 4",
    ),
    ("modernbert", _edit(hidden_activation="relu"), "hidden_activation is relu, and nn.GELU is computed"),
]


def _name(value: object) -> str | None:
    """No address of a function, which would be another one in each worker."""
    return value[:40] if isinstance(value, str) else None


def _after_the_router(start: Callable[[Path, tei_reader.Router], object]) -> Reader:
    return lambda folder: partial(start, folder, tei_reader.start_router(folder))


READERS: dict[str, tuple[Reader, list[tuple[str, Callable[[Path], None], str]]]] = {
    "teis_router": (lambda folder: partial(tei_reader.start_router, folder), ROUTER),
    "teis_candle": (_after_the_router(tei_reader.start_candle), CANDLE),
    "teis_onnx_back_end": (_after_the_router(tei_reader.start_onnx), ONNX),
    "vllm": (lambda folder: partial(vllm_reader.start, folder), VLLM),
}


@pytest.mark.parametrize(
    ("reader", "family", "change", "reason"),
    [(name, *case) for name, (_, cases) in READERS.items() for case in cases],
    ids=_name,
)
def test_what_a_reader_refuses(
    broken: Callable[[str], Path], reader: str, family: str, change: Callable[[Path], None], reason: str
) -> None:
    folder = broken(family)
    change(folder)
    start = READERS[reader][0](folder)
    with pytest.raises(RefusedError, match=reason):
        start()


def test_two_labels_make_a_classifier_of_it(broken: Callable[[str], Path]) -> None:
    folder = broken("bert")
    _edit(id2label={"0": "a", "1": "b"})(folder)
    assert tei_reader.start_router(folder).kind == "classifier"


def test_half_precision_shows_in_what_is_read(broken: Callable[[str], Path]) -> None:
    folder = broken("bert")
    _weights(lambda t: {name: value.astype(np.float16) for name, value in t.items()})(folder)
    assert tei_reader.start_candle(folder, tei_reader.start_router(folder)) == "F16"
    assert vllm_reader.start(folder).weights == "F16"


def test_without_the_case_vllm_passes_the_length_over(broken: Callable[[str], Path]) -> None:
    folder = broken("bert")
    _edit("tokenizer_config.json", drop="model_max_length")(folder)
    assert vllm_reader.start(folder).max_model_len == RULE.max_tokens
    _edit("sentence_bert_config.json", drop="do_lower_case")(folder)
    assert vllm_reader.start(folder).max_model_len == 64


def test_the_document_names_the_families_that_each_server_reads() -> None:
    names = {"MiniLM": "minilm", "XLM-R": "xlm-roberta", "DeBERTa-v2": "deberta-v2"}
    rows = re.findall(
        r"^\| ([\w, -]+) \| (yes|no) \| (yes|no) \| (yes|no) \| (yes|no) \|$", DOCUMENT.read_text(), re.M
    )
    found = {
        names.get(name, name.lower()): tuple(answer == "yes" for answer in answers)
        for row, *answers in rows
        for name in row.split(", ")
    }
    assert found == {
        family: (True, family != "electra", family not in VLLM_REFUSES, True) for family in FAMILIES
    }

"""An export folder that is not what was written: its manifest, its values, its files and what lies beside."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from crosstune.errors import InputError
from crosstune.serve import Reranker
from sealed import manifest, reseal, rewrite
from served import tiny_export

PAIRS = [("open the file", "close it"), ("open the file", "open a file")]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_export(), tmp_path / "export"))


def test_each_of_300_flipped_bits_of_the_manifest_is_refused(export: Path) -> None:
    path = export / "manifest.json"
    whole = path.read_bytes()
    values, rng = json.loads(whole), random.Random(11)
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            Reranker(export)
        except InputError as error:
            assert str(error).startswith(str(path))
        else:
            assert json.loads(data) == values, "another way to write the same values"
    path.write_bytes(whole)
    assert Reranker(export).score(PAIRS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"max_tokens": 48', '"max_tokens": 40'),
        ('"attention_mask"', '"attention_mas{"'),
        ('"seal"', '"sael"'),
    ],
)
def test_a_manifest_that_was_edited_says_what_to_do(export: Path, before: str, after: str) -> None:
    path = export / "manifest.json"
    text = path.read_text()
    assert text.count(before) >= 1
    path.write_text(text.replace(before, after))
    with pytest.raises(
        InputError, match=r"manifest\.json: (was changed after|has no seal).* export the model"
    ):
        Reranker(export)


def test_the_seal_does_not_depend_on_how_the_values_are_written(export: Path) -> None:
    values = manifest(export)
    (export / "manifest.json").write_text(json.dumps(dict(reversed(values.items())), indent=7))
    assert Reranker(export).score(PAIRS) == Reranker(tiny_export()).score(PAIRS)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"inputs": ["input_ids"]}, "inputs is"),
        ({"inputs": ["input_ids", "attention_mask", "attention_mask"]}, "inputs is"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"pad_token_id": None}, "pad_token_id is None"),
        ({"pad_token_id": 1 << 31}, "pad_token_id is"),
        ({"score_activation": "identity"}, "score_activation is 'identity'"),
        ({"formats": {}}, "formats has no onnx"),
        ({"formats": ["onnx"]}, "damaged"),
        ({"formats": {"onnx": "../model.onnx"}}, "formats has onnx: ../model.onnx"),
        ({"formats": {"onnx": "onnx/model.onnx", "tensorrt": "onnx/model.trt"}}, "formats has tensorrt"),
        (
            {"formats": {"onnx": "onnx/model.onnx", "openvino": "openvino/openvino_model.xml"}},
            "openvino/openvino_model.xml, openvino/openvino_model.bin is read and does not stand under files",
        ),
        ({"files": []}, "damaged"),
        ({"files": None}, "damaged"),
    ],
)
def test_values_that_no_export_has_are_refused(export: Path, keys: dict[str, Any], problem: str) -> None:
    rewrite(export, **keys)
    with pytest.raises(InputError) as error:
        Reranker(export)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"style": "xx"}, "style is 'xx'; one of standard, nogueira_cho was expected"),
        ({"max_tokens": 10**9}, "max_tokens is 1000000000; a whole number from 1 to 8192"),
        ({"max_tokens": 48.5}, "max_tokens is 48.5"),
        ({"max_query_tokens": True}, "max_query_tokens is True"),
        ({"max_query_tokens": 47}, "length_rule: max_query_tokens is 47"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_lengths_that_no_export_has_are_refused(export: Path, keys: dict[str, Any], problem: str) -> None:
    rewrite(export, length_rule=manifest(export)["length_rule"] | keys)
    with pytest.raises(InputError) as error:
        Reranker(export)
    assert problem in str(error.value) and "manifest.json" in str(error.value)


@pytest.mark.parametrize(
    ("name", "entry", "problem"),
    [
        ("config.json", {"bytes": 1.5, "sha256": "0" * 64}, "files.config.json.bytes is 1.5"),
        ("config.json", {"bytes": 1, "sha256": 7}, "files.config.json.sha256 is 7"),
        ("config.json", {"bytes": 1}, "damaged"),
        ("config.json", 1, "damaged"),
        ("x" * 5000, {"bytes": 1, "sha256": "0" * 64}, "under files is no file of an export"),
    ],
)
def test_entries_of_files_that_say_nothing_are_refused(
    export: Path, name: str, entry: object, problem: str
) -> None:
    rewrite(export, files=manifest(export)["files"] | {name: entry})
    with pytest.raises(InputError) as error:
        Reranker(export)
    assert problem in str(error.value)


def test_a_tokenizer_that_the_manifest_does_not_protect_is_refused(export: Path) -> None:
    values = manifest(export)
    del values["files"]["tokenizer.json"]
    reseal(export, values)
    with pytest.raises(InputError, match=r"tokenizer\.json is read and does not stand under files"):
        Reranker(export)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": ' + "[" * 100_000, '{"schema": ' + "1" * 5000])
def test_json_that_is_nested_or_long_without_end_is_refused(export: Path, text: str) -> None:
    (export / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json: (not JSON that can be read|schema is)"):
        Reranker(export)


def test_a_folder_whose_name_cannot_be_one_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Reranker("x" * 5000)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling_evil.py", "README.md", "notes/model.onnx"])
def test_a_file_that_no_export_has_is_refused_under_files(export: Path, name: str) -> None:
    path = export / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x80\x04.")
    entry = {"bytes": 3, "sha256": hashlib.sha256(b"\x80\x04.").hexdigest()}
    rewrite(export, files=manifest(export)["files"] | {name: entry})
    with pytest.raises(InputError) as error:
        Reranker(export)
    assert f"'{name}' under files is no file of an export" in str(error.value)


@pytest.mark.parametrize(
    "name", ["modeling_evil.py", "pytorch_model.bin", "more/rank.PKL", "openvino/openvino_model.bin", "a.so"]
)
def test_code_and_pickles_beside_the_files_are_refused(export: Path, name: str) -> None:
    path = export / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(InputError) as error:
        Reranker(export)
    assert str(path) in str(error.value) and "is not in manifest.json" in str(error.value)


@pytest.mark.parametrize("name", ["onnx/notes.txt", "openvino/deep/weights"])
def test_a_file_beside_a_graph_that_could_read_it_is_refused(export: Path, name: str) -> None:
    (export / name).parent.mkdir(parents=True, exist_ok=True)
    (export / name).write_bytes(bytes(100))
    with pytest.raises(
        InputError, match=r"is not in manifest\.json, and a graph can read what lies beside it"
    ):
        Reranker(export)


@pytest.mark.parametrize("name", ["words", "config.json", "onnx/model.onnx", "onnx"])
def test_a_link_out_of_the_folder_is_refused(export: Path, tmp_path: Path, name: str) -> None:
    """Listed or not, a file or a folder, also where the bytes are those that were written."""
    path, outside = export / name, tmp_path / "outside"
    if path.exists():
        path.rename(outside)
    path.symlink_to(outside if outside.exists() else "/etc/passwd")
    with pytest.raises(InputError, match=f"'{name}.*' leads out of the folder"):
        Reranker(export)


def test_what_people_and_the_hub_keep_there_is_left_alone(export: Path) -> None:
    """And links within the folder, and the folder by a link."""
    for name in (
        "README.md",
        ".gitattributes",
        ".cache/huggingface/download/config.json.metadata",
        "eval.png",
    ):
        (export / name).parent.mkdir(parents=True, exist_ok=True)
        (export / name).write_text("more")
    (export / "graph.onnx").symlink_to("onnx/model.onnx")
    (export / "round").symlink_to(".")
    current = export.with_name("current")
    current.symlink_to(export)
    assert Reranker(current).score(PAIRS) == Reranker(tiny_export()).score(PAIRS)


@pytest.mark.parametrize("name", ["models--me--x", "x"])
def test_links_lead_to_the_blobs_of_the_own_snapshot_alone(export: Path, tmp_path: Path, name: str) -> None:
    repository, other = tmp_path / name, tmp_path / "models--me--other" / "blobs"
    snapshot, blobs = repository / "snapshots" / ("0" * 40), repository / "blobs"
    for folder in (snapshot, blobs, other, blobs / "deep"):
        folder.mkdir(parents=True)
    shutil.copytree(export, snapshot, dirs_exist_ok=True)

    def linked(target: Path) -> Reranker:
        shutil.copyfile(export / "config.json", target)
        (snapshot / "config.json").unlink()
        (snapshot / "config.json").symlink_to(target)
        return Reranker(snapshot)

    for target in (other / "a", blobs / "deep" / "a", repository / "a"):
        with pytest.raises(InputError, match=r"'config\.json' leads out of the folder"):
            linked(target)
    if name == "x":
        with pytest.raises(InputError, match="leads out of the folder"):
            linked(blobs / "a")
    else:
        assert linked(blobs / "a").score(PAIRS) == Reranker(export).score(PAIRS)

"""What an export folder may hold, and where its files may lie.

The list is closed: loading runs no code from a folder, and neither should whoever loads it with another
library find code or a pickle there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import sha256_file
from crosstune.serve.checked import whole
from crosstune.serve.engines.runtime import Format
from crosstune.serve.seal import MANIFEST

AGAIN = "export the model again, or copy the folder again"

FILES: dict[Format, str] = {
    "onnx": "onnx/model.onnx",
    "onnx-int8": "onnx/model_int8.onnx",
    "openvino": "openvino/openvino_model.xml",
    "openvino-bf16": "openvino/openvino_model.xml",
    "openvino-int8": "openvino/openvino_model_int8.xml",
}
"""Where readers look: optimum and sentence-transformers take `openvino/openvino_model.xml` by itself, the
int8 files by `file_name`. bf16 is a way to compute the fp32 file. No name holds `quantize`, which Infinity
would prefer without being asked."""

TOKENIZER = "tokenizer.json"
CALIBRATION_PAGE = "calibration.html"
OF_THE_MODEL = (
    *("config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json"),
    *(TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
    *("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"),
    *("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
)
"""What transformers and sentence-transformers write for the families that can be exported."""
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def files_of(kind: Format) -> list[str]:
    """OpenVINO's weights lie beside its graph."""
    graph = FILES[kind]
    return [graph, graph.removesuffix(".xml") + ".bin"] if graph.endswith(".xml") else [graph]


WEIGHTS = f"{FILES['onnx']}.data"
"""Where a graph is too large for one file, its weights."""
KNOWN = {*OF_THE_MODEL, CALIBRATION_PAGE, WEIGHTS, *(name for kind in FILES for name in files_of(kind))}
RUNS = (
    *(".py", ".pyc", ".pyd", ".so", ".dll", ".dylib"),
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"),
)
"""Endings of code that Python loads, and of files that are or can hold a pickle."""
GRAPHS = ("onnx/", "openvino/")
"""Folders of graphs, which can name further files of theirs."""


def is_known(name: str) -> bool:
    """Whether an export has files of this name, relative to its folder."""
    return name in KNOWN or _SHARD.fullmatch(name) is not None


def check_listed(folder: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Raises `InputError` unless the file is what `entry` says, and `ValueError` for an entry that says
    nothing."""
    size = whole(f"files.{name}.bytes", entry["bytes"], 0, 1 << 50)
    if not isinstance(entry["sha256"], str) or not _SHA256.fullmatch(entry["sha256"]):
        raise ValueError(
            f"files.{name}.sha256 is {entry['sha256']!r:.80}; 64 hexadecimal digits were expected"
        )
    path = folder / name
    _check_place(folder, path)
    if not path.is_file():
        raise InputError(f"{path}: is in the manifest and missing; {AGAIN}")
    if (found := path.stat().st_size) != size:
        raise InputError(f"{path}: has {found} bytes, {size} were written; {AGAIN}")
    if (digest := sha256_file(path)) != entry["sha256"]:
        raise InputError(f"{path}: sha256 is {digest}, {entry['sha256']} was written; {AGAIN}")


def check_others(folder: Path, listed: Collection[str]) -> None:
    """What the manifest does not list may lie beside it (a card, notes, what git and the hub keep), but no
    program, no pickle, nothing beside a graph, which could take it for its weights, and no link that leaves
    the folder: raises `InputError`."""
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            if path.is_symlink():
                _check_place(folder, path)
            relative = path.relative_to(folder).as_posix()
            if name in names and relative not in listed and (reason := _reason(relative)):
                raise InputError(
                    f"{path}: is not in {MANIFEST}, and {reason}; an export has none: look at where it comes "
                    "from, and remove it"
                )


def _reason(name: str) -> str | None:
    """Why a file that is not listed may not lie there, by its name relative to the folder."""
    if name.lower().endswith(RUNS):
        return "files of this kind can run code"
    if name.startswith(GRAPHS):
        return "a graph can read what lies beside it"
    return None


def _check_place(folder: Path, path: Path) -> None:
    """Links may lead to other files of the folder. In a snapshot of the hub's cache every file is a link
    into the `blobs` beside it."""
    own, target = Path(os.path.realpath(folder)), Path(os.path.realpath(path))
    if own in (target, *target.parents):
        return
    repository = own.parent.parent
    if (
        own.parent.name == "snapshots"
        and repository.name.startswith("models--")
        and target.parent == repository / "blobs"
    ):
        return
    raise InputError(
        f"{folder / MANIFEST}: {path.relative_to(folder).as_posix()!r} leads out of the folder; do not use it"
    )

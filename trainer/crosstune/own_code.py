"""Models that bring code of their own, which crosstune never runs: there is no `trust_remote_code`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.files import read_json

KNOWN = (
    *("bert", "camembert", "deberta-v2", "distilbert", "electra"),
    *("modernbert", "roberta", "t5", "xlm-roberta"),
)
"""Types for which transformers need not be imported to know that it has them."""
MODULES = "modules.json"
WAY_OUT = (
    "crosstune runs no code from a model's folder. Name a model of a type that transformers has itself, or "
    "upgrade transformers when it has this one by now"
)


def refuse_own_code(folder: Path) -> None:
    """Raises `InputError` for a folder whose `config.json` names a type that transformers does not have, or
    whose tokenizer is code that comes with it. A folder of sentence-transformers may have another type, where
    no code belongs to it: its `modules.json` says what it is made of (see `refuse_own_modules`)."""
    path = folder / "config.json"
    config = read_json(path)
    kind, own = config.get("model_type"), config.get("auto_map")
    if kind in KNOWN:
        return
    from transformers import CONFIG_MAPPING, TOKENIZER_MAPPING, __version__

    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        if own or not (folder / MODULES).is_file():
            code = f" and auto_map names code of the model's own ({_first(own)})" if own else ""
            raise InputError(
                f"{path}: model_type is {kind!r}, which transformers {__version__} does not have{code}; "
                f"{WAY_OUT}"
            )
        return
    tokenizer = folder / "tokenizer_config.json"
    settings = read_json(tokenizer) if tokenizer.is_file() else {}
    if settings.get("auto_map") and CONFIG_MAPPING[kind] not in TOKENIZER_MAPPING:
        raise InputError(
            f"{tokenizer}: auto_map names code of the model's own ({_first(settings['auto_map'])}); {WAY_OUT}"
        )


def refuse_own_modules(folder: Path) -> None:
    """Raises `InputError` for a folder whose `modules.json` names a class that is not of
    sentence-transformers: it would be imported from the folder."""
    path = folder / MODULES
    if not path.is_file():
        return
    try:
        kinds = [str(module["type"]) for module in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: a list of modules with type and path was expected ({error!r})") from None
    foreign = [kind for kind in kinds if not kind.startswith("sentence_transformers.")]
    if foreign:
        raise InputError(
            f"{path}: type is {foreign[0]!r}, which is no class of sentence-transformers; crosstune runs no "
            "code from a model's folder. Name a model that is made of its classes alone"
        )


def _first(auto_map: Any) -> str:
    """A class that it names."""
    values = list(auto_map.values()) if isinstance(auto_map, dict) else [auto_map]
    return str(values[0]) if values else ""

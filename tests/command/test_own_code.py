"""A model's folder is data: code in it never runs, whoever asks and whatever is answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Crosstune, write_collection

from crosstune.errors import InputError
from crosstune.files import read_json, write_json
from crosstune.models import has_ranking_head, resolve_model
from crosstune.own_code import refuse_own_code, refuse_own_modules
from crosstune.rerankers.libraries import open_library
from crosstune.serve.pairs import LengthRule
from crosstune.train import load_cross_encoder
from models import tiny_cross_encoder


def _evil(folder: Path, **config: object) -> Path:
    """A cross-encoder that brings `evil.py`, which leaves `ran.txt` when it is imported."""
    tiny_cross_encoder(folder)
    classes = {"AutoConfig": "EvilConfig", "AutoModelForSequenceClassification": "Evil", "AutoModel": "Evil"}
    names = {name: f"evil.{kind}" for name, kind in classes.items()}
    write_json(folder / "config.json", read_json(folder / "config.json") | {"auto_map": names} | config)
    (folder / "evil.py").write_text(
        f"open({str(folder.parent / 'ran.txt')!r}, 'w').write('ran')\n"
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class EvilConfig(BertConfig): model_type = 'evilnet'\n"
        "class Evil(BertForSequenceClassification): config_class = EvilConfig\n"
    )
    return folder


@pytest.fixture
def yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who answers every question with yes."""
    monkeypatch.setattr("builtins.input", lambda _question: "y")


def test_export_asks_nobody_and_runs_nothing(crosstune: Crosstune, tmp_path: Path) -> None:
    _evil(tmp_path / "munk", model_type="evilnet")
    collection = f"collection=beir:{write_collection(tmp_path / 'c')}"
    done = crosstune("export", "munk", "--out", "x", collection, stdin="y\n" * 20)
    assert done.code == 2, done.err
    assert "munk/config.json: model_type is 'evilnet', which transformers" in done.err
    assert "(evil.EvilConfig); crosstune runs no code from a model's folder. Name a model" in done.err
    assert "y/N" not in done.out + done.err
    assert not (tmp_path / "ran.txt").exists() and not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["evilnet", "", None, ["bert"]])
def test_a_type_that_transformers_lacks(kind: object, tmp_path: Path, yes: None) -> None:
    folder = _evil(tmp_path / "model", model_type=kind)
    for library in ("sentence-transformers", "rerankers"):
        with pytest.raises(InputError, match=r"config\.json: model_type is"):
            open_library(f"{library}:{folder}")
    rows = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    (folder / "modules.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"config\.json: model_type is"):
        resolve_model(str(folder))
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {name: config[name] for name in config if name != "auto_map"})
    assert resolve_model(str(folder)) == folder, "sentence-transformers knows what its modules are"
    (folder / "modules.json").unlink()
    with pytest.raises(InputError, match="does not have; crosstune runs no code"):
        resolve_model(str(folder))
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize("architectures", [[1], 1, "ForSequenceClassification", None])
def test_architectures_that_are_no_names(architectures: object, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "bert", "architectures": architectures})
    assert not has_ranking_head(tmp_path)


def test_code_beside_a_known_type_stays_data(tmp_path: Path, yes: None) -> None:
    rule = LengthRule(48, 16)
    own = load_cross_encoder(resolve_model(str(_evil(tmp_path / "bert"))), rule, 1)
    assert type(own).__module__.startswith("transformers.")
    headless = _evil(tmp_path / "vit", model_type="vit")  # transformers has no vit that classifies texts
    with pytest.raises(InputError, match="the model cannot be loaded"):
        load_cross_encoder(resolve_model(str(headless)), rule, 1)
    assert not (tmp_path / "ran.txt").exists()


def test_a_tokenizer_of_its_own(tmp_path: Path) -> None:
    folder = _evil(tmp_path / "vit", model_type="vit")
    path = folder / "tokenizer_config.json"
    write_json(path, read_json(path) | {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
    with pytest.raises(InputError, match=r"tokenizer_config\.json: auto_map names code .*evil\.Evil"):
        refuse_own_code(folder)


def test_a_module_of_its_own(tmp_path: Path) -> None:
    from crosstune.data import DenseSettings
    from crosstune.data.first_stages.encoder import Encoder

    folder = _evil(tmp_path / "model")
    kinds = ["sentence_transformers.models.Transformer", "evil.Evil"]
    rows = [{"idx": place, "name": str(place), "path": "", "type": kind} for place, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"modules\.json: type is 'evil\.Evil', which is no class of sent"):
        Encoder(DenseSettings(model=str(folder)).model, None, None, None)
    with pytest.raises(InputError, match=r"type is 'evil\.Evil'"):
        open_library(f"sentence-transformers:{folder}")
    (folder / "modules.json").write_text('["evil"]')
    with pytest.raises(InputError, match="a list of modules with type and path was expected"):
        refuse_own_modules(folder)
    assert not (tmp_path / "ran.txt").exists()

"""Where an export may be written: nothing that a user has is deleted for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.export import export_target, refuse_overlap
from served import tiny_export


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_an_empty_one_and_an_earlier_export_may_be_written(tmp_path: Path) -> None:
    assert export_target(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "empty").mkdir()
    assert export_target(tmp_path / "empty" / ".." / "empty") == tmp_path / "empty"
    export = Path(shutil.copytree(tiny_export(), tmp_path / "export"))
    (export / "README.md").write_text("# the card, which no manifest lists\n")
    assert export_target(export) == export
    (tmp_path / "link").symlink_to(export)
    assert export_target(tmp_path / "link") == export, "the folder is replaced, not the link"


@pytest.mark.parametrize("name", ["thesis.txt", ".git/config", "onnx/mine.onnx"])
def test_what_the_user_has_there_is_kept(name: str, tmp_path: Path) -> None:
    for folder in (tmp_path / "precious", Path(shutil.copytree(tiny_export(), tmp_path / "export"))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years of work")
        with pytest.raises(InputError, match="nothing was changed; name another folder"):
            export_target(folder)
        assert (folder / name).read_text() == "years of work"


@pytest.mark.parametrize("text", ["{", "{}", '{"name": "an app", "files": {"app.js": {}}}'])
def test_another_programs_manifest_makes_no_export(text: str, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"app: is there and is no export of crosstune \(it has manifest"):
        export_target(tmp_path / "app")


def test_a_file_and_the_folder_one_stands_in_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: is a file, and an export is a folder"):
        export_target(tmp_path / "file")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for out in (".", "..", "/"):
        with pytest.raises(InputError, match="is the folder that you are in, or lies above it"):
            export_target(Path(out))


def test_neither_may_lie_in_the_other(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "link").symlink_to(model)
    for target in (model, model / "export", tmp_path):
        for source in (model, tmp_path / "link"):
            with pytest.raises(InputError, match="is the model itself"):
                refuse_overlap(target, source, "the model itself")
    refuse_overlap(tmp_path / "model2", model, "the model itself")

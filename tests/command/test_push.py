"""`crosstune push` against a hub on loopback, by the real command line and the real huggingface_hub."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from conftest import Crosstune
from huggingface_hub import ModelCard, snapshot_download

from crosstune.cli import main
from crosstune.errors import InputError
from crosstune.export.push import write_push
from crosstune.serve import Reranker
from hub import TOKEN, Hub, hub
from sealed import manifest, rewrite
from served import tiny_export

CARD = '---\ntags: [reranker]\n---\n# tiny\n```python\nfolder = "FOLDER"\n```\n'
NAME = "someone/tiny-reranker"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # the loopback hub stores by LFS
        yield running


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_export(), tmp_path / "export"))
    (folder / "README.md").write_text(CARD)
    return folder


def test_a_push_is_the_export_in_one_commit_and_comes_back_whole(
    server: Hub, export: Path, crosstune: Crosstune, tmp_path: Path
) -> None:
    (export / "notes.txt").write_text("mine")
    words = ("push", export, NAME, "--license", "apache-2.0", "--message", "first", "--json")
    done = crosstune(*words)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    repository = server.repositories[NAME]
    assert (repository.private, repository.messages) == (True, ["first"])
    listed = json.loads((export / "manifest.json").read_text())["files"]
    assert set(repository.files) == set(found["files"]) == {*listed, "manifest.json", "README.md"}
    assert all(repository.files[name] == (export / name).read_bytes() for name in listed)
    assert found["url"].startswith(f"{server.url}/{NAME}/commit/")
    assert "left out, since the manifest does not list them: notes.txt" in done.err
    assert TOKEN not in done.out + done.err
    card = ModelCard(repository.files["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert f'folder = snapshot_download("{NAME}")' in card.text and "FOLDER" not in card.text
    assert (export / "README.md").read_text() == CARD, "the export's own card stays as it is"

    pairs = [("open the file", "close it"), ("open the file", "open a file")]
    for folder in (None, tmp_path / "fetched"):
        fetched = snapshot_download(NAME, endpoint=server.url, token=TOKEN, local_dir=folder)
        assert Reranker(fetched).score(pairs) == Reranker(export).score(pairs)


def test_what_the_model_card_fetches_is_ranked_with(server: Hub, export: Path, crosstune: Crosstune) -> None:
    """By the card's own lines, in a process; the hub's cache is links to files beside the folder."""
    assert crosstune("push", export, NAME, "--license", "mit").code == 0
    card = server.repositories[NAME].files["README.md"].decode()
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    fetched = [sys.executable, "-c", f"{code}\nprint(folder)"]
    folder = Path(
        subprocess.run(fetched, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    )
    assert (folder / "config.json").is_symlink() and folder.parent.name == "snapshots"
    done = crosstune("rank", folder, "open the file", "--documents", "-", stdin='"open a file"\n')
    assert done.code == 0, done.err

    blob = (folder / "config.json").resolve()
    outside = export.parent / "config.json"
    outside.write_bytes(blob.read_bytes())
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(outside)
    done = crosstune("rank", folder, "open the file", "--documents", "-", stdin='"open a file"\n')
    assert done.code == 2
    assert "'config.json' leads out of the folder" in done.err


def test_what_the_next_push_lacks_is_removed_there(server: Hub, export: Path, crosstune: Crosstune) -> None:
    words = ("push", export, NAME, "--license", "mit")
    assert crosstune(*words).code == 0
    server.repositories[NAME].files["eval.png"] = b"the owner's own"
    files = manifest(export)["files"]
    del files["modules.json"]
    rewrite(export, files=files)
    (export / "modules.json").unlink()
    done = crosstune(*words)
    assert done.code == 0, done.err
    files = server.repositories[NAME].files
    assert "modules.json" not in files and "eval.png" in files
    assert "1 of an earlier push removed" in done.err


def test_a_dry_run_writes_the_folder_and_sends_nothing(
    server: Hub, export: Path, crosstune: Crosstune
) -> None:
    done = crosstune("push", export, NAME, "--license", "mit", "--dry-run")
    assert done.code == 0, done.err
    assert server.repositories == {}
    folder = export.with_name("export.push")
    assert ModelCard.load(folder / "README.md").data.license == "mit"
    assert Reranker(folder).rank("open", ["a file"])[0].index == 0

    again = crosstune("push", ".", NAME, "--license", "apache-2.0", "--dry-run", cwd=export)
    assert again.code == 0, again.err
    assert ModelCard.load(folder / "README.md").data.license == "apache-2.0"
    (folder / "notes.txt").write_text("mine")
    done = crosstune("push", export, NAME, "--license", "mit", "--dry-run")
    assert done.code == 2
    assert "export.push: is an earlier export that also has notes.txt; nothing was changed" in done.err
    assert (folder / "notes.txt").read_text() == "mine"


def test_what_must_not_be_pushed_leaves_the_hub_as_it_was(
    server: Hub, export: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: object) -> str:
        done = crosstune("push", export, NAME, *words)
        assert done.code == 2, done.err
        assert TOKEN not in done.out + done.err
        return done.err

    assert "names no licence; give --license" in refused()
    weights = (export / "model.safetensors").read_bytes()
    (export / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "model.safetensors: sha256 is" in refused("--license", "mit")
    (export / "model.safetensors").write_bytes(weights)
    assert server.repositories == {}

    server.broken = "/commit/"
    assert "the disk is full" in refused("--license", "mit", "--public")
    assert server.repositories[NAME].files == {}
    server.broken = None
    assert "is there and public; give --public" in refused("--license", "mit")
    assert server.repositories[NAME].files == {}

    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "log in with `hf auth login`" in refused("--license", "mit", "--public")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "could not be pushed" in refused("--license", "mit", "--public")
    (export / "README.md").write_text("---\ntags: [\n---\n")
    assert "its metadata cannot be read" in refused("--license", "mit")
    (export / "README.md").unlink()
    assert "README.md: no such file" in refused("--license", "mit")


@pytest.mark.parametrize("way", [[], ["--dry-run"]])
def test_names_and_licences_that_are_none_are_refused(
    way: list[str], server: Hub, export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(name: str, licence: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["push", str(export), name, "--license", licence, *way])
        assert ended.value.code == 2
        return capsys.readouterr().err

    for name in ("../x", "a/b/c", "me/..", "me/x y", "x"):
        assert f"{name}: is no name of a repository" in refused(name, "mit")
    for licence in ("not a licence!!", "Apache-2.0", "mit\ntags: [x]", "-"):
        assert "is no identifier of a licence on the hub" in refused(NAME, licence)
    assert server.repositories == {} and not export.with_name("export.push").exists()


def test_the_licence_of_the_card_is_read_as_well(server: Hub, export: Path) -> None:
    for licence, taken in (("[mit, apache-2.0]", True), ("My Own Terms", False)):
        (export / "README.md").write_text(CARD.replace("tags:", f"license: {licence}\ntags:"))
        with nullcontext() if taken else pytest.raises(InputError, match=r"README\.md: license 'My Own"):
            write_push(export, NAME, None)

"""`crosstune push`: an export to a model hub, in one commit, through huggingface_hub."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from crosstune.errors import InputError
from crosstune.export.card import CARD, FOLDER_LINE
from crosstune.export.target import export_target
from crosstune.files import read_json, staged_folder, write_text
from crosstune.progress import say
from crosstune.serve.manifest import read_manifest
from crosstune.serve.seal import MANIFEST

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HOW_TO_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"
LICENCE = re.compile(r"[a-z0-9]+(?:[.+-][a-z0-9]+)*")
LICENCES = (
    "it is of lower-case letters, digits, dots and dashes, such as apache-2.0, mit, cc-by-sa-4.0 or other: "
    "https://huggingface.co/docs/hub/repositories-licenses"
)
"""A pattern and no list: the hub's grows."""
SHOWN = 300
"""Characters of a hub's own message."""


@dataclass(frozen=True)
class Push:
    """`url`: of the commit, or the folder that a dry run wrote; `files`: what it holds; `removed`: what an
    earlier push left there and this export lacks."""

    url: str
    files: list[str]
    removed: list[str]


def push(export: Path, repository: str, message: str, licence: str | None, *, public: bool) -> Push:
    """Uploads the files that the manifest lists, the manifest and the model card, all of them or none.

    The token is huggingface_hub's own (`hf auth login`, `HF_TOKEN`), the address `HF_ENDPOINT`. A
    repository that is not there is made. Raises `InputError` for an export that is not what was written, a
    card without a licence, a name or licence that the hub does not take, a repository of the other
    visibility, and what the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    files = _files(export)
    card = _card(export, repository, licence)
    api = HfApi()
    with _hub_errors(repository):
        api.create_repo(repository, private=not public, exist_ok=True)
        _check_visibility(api, repository, public=public)
        removed = sorted(_listed_there(api, repository) - set(files))
        done = api.create_commit(
            repository,
            [
                *(CommitOperationAdd(name, export / name) for name in files),
                CommitOperationAdd(CARD, card.encode("utf-8")),
                *(CommitOperationDelete(name) for name in removed),
            ],
            commit_message=message,
        )
    return Push(done.commit_url, [*files, CARD], removed)


def write_push(export: Path, repository: str, licence: str | None) -> Push:
    """What `push` would upload, written to the folder `EXPORT.push` beside the export, over an earlier one;
    nothing is sent. Raises `InputError` as `push`, and where anything else lies there."""
    export = export.expanduser().resolve()
    folder = export_target(export.with_name(f"{export.name}.push"))
    files = _files(export)
    card = _card(export, repository, licence)
    with staged_folder(folder) as out:
        for name in files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(export / name, out / name)
        write_text(out / CARD, card)
    return Push(str(folder), [*files, CARD], [])


def _files(export: Path) -> list[str]:
    """The checked files of the manifest, and it; what else lies there is left out and said."""
    read_manifest(export)
    files = sorted([*read_json(export / MANIFEST)["files"], MANIFEST])
    there = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
    if unknown := sorted(there - {*files, CARD}):
        say(f"left out, since the manifest does not list them: {', '.join(unknown)}")
    return files


def _card(export: Path, repository: str, licence: str | None) -> str:
    """The export's card with the licence, and with the repository in the place of the folder."""
    from huggingface_hub import ModelCard

    _check_name(repository)
    path = export / CARD
    if not path.is_file():
        raise InputError(f"{path}: no such file; export again, or write a model card there")
    try:
        card: Any = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=False)
    except Exception as error:  # its YAML reader's own among them
        raise InputError(f"{path}: its metadata cannot be read ({error}); mend it or export again") from None
    if licence is not None:
        card.data.license = licence
    if not card.data.license:
        raise InputError(
            f"{path}: names no licence; give --license, for example --license apache-2.0, as the base "
            "model's and the data's licences allow"
        )
    unknown = [name for name in _several(card.data.license) if not LICENCE.fullmatch(name)]
    if unknown:
        where = "--license" if licence is not None else f"{path}: license"
        raise InputError(f"{where} {unknown[0]!r}: is no identifier of a licence on the hub; {LICENCES}")
    fetched = f'from huggingface_hub import snapshot_download\n\nfolder = snapshot_download("{repository}")'
    return str(card).replace(FOLDER_LINE, fetched)


def _several(licence: Any) -> list[str]:
    """A card may name one licence or a list."""
    return [str(name) for name in licence] if isinstance(licence, list) else [str(licence)]


def _check_name(repository: str) -> None:
    """By huggingface_hub's own rule, and with an owner: the hub would take it from the token."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, unlisted

    try:
        validate_repo_id(repository)
        reason = "the owner is missing" if "/" not in repository else None
    except HFValidationError as error:
        reason = str(error)
    if reason is not None:
        raise InputError(f"{repository}: is no name of a repository ({reason}); OWNER/NAME was expected")


def _check_visibility(api: HfApi, repository: str, *, public: bool) -> None:
    private = bool(api.model_info(repository).private)
    if private == public:
        found, way = ("private", "leave --public out") if private else ("public", "give --public")
        raise InputError(
            f"{repository}: is there and {found}; {way} to push to it all the same, or change it in its "
            "settings"
        )


def _listed_there(api: HfApi, repository: str) -> set[str]:
    """The files of the export that was pushed there before."""
    if not api.file_exists(repository, MANIFEST):
        return set()
    with TemporaryDirectory(prefix="crosstune-") as scratch:
        before = read_json(Path(api.hf_hub_download(repository, MANIFEST, local_dir=scratch)))
    there = set(api.list_repo_files(repository))
    return {name for name in before.get("files", {}) if name in there}


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """What the hub refuses, and a network that is not there, as one message."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        hint = (
            HOW_TO_LOG_IN if status in (401, 403) else "nothing was committed; the same command tries again"
        )
        raise InputError(f"{repository}: the hub refused ({_told(error)}); {hint}") from None
    except InputError:
        raise
    except Exception as error:  # its HTTP library, and so the errors of a network, change with its version
        raise InputError(
            f"{repository}: could not be pushed ({_told(error)}); nothing was committed, look at the "
            "network and HF_ENDPOINT"
        ) from None


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:SHOWN] or type(error).__name__

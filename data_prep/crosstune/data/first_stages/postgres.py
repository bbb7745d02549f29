"""PostgreSQL's full text search and pgvector, in a table of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crosstune.data.first_stages.postgres_sql import advice, statement
from crosstune.data.first_stages.protocol import needs_extra
from crosstune.errors import InputError
from crosstune.progress import say

if TYPE_CHECKING:
    import psycopg

    from crosstune.data.first_stages.encoder import Encoder
    from crosstune.data.first_stages.protocol import Found
    from crosstune.data.first_stages.settings import PostgresSettings

_ROWS_AT_ONCE = 1000
_MOST_EF_SEARCH = 1000
_RECONNECT_SECONDS = 60
_MOST_SECONDS_BETWEEN = 10
_SESSION = """
SELECT set_config('statement_timeout', %s, false), set_config('default_transaction_read_only', 'on', false)
"""
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


class Postgres:
    """One statement a query, through a server-side cursor. A connection that drops is opened once more for
    the query it dropped in, as soon as the server, which may be restarting, takes it; the answers so far are
    kept."""

    def __init__(self, settings: PostgresSettings) -> None:
        """Raises `InputError` when the server cannot be reached, `MissingExtra` without psycopg."""
        with needs_extra("first_stage.kind=postgres", "postgres"):
            import psycopg  # noqa: F401
            import tenacity  # noqa: F401
        self._settings = settings
        self._reconnects = 0
        self._queries_cut = 0
        self._connection = self._connect()
        self._columns = self._read_columns()
        own_tsvector = self._columns.get(settings.text_column) == "tsvector"
        self._sql = statement(settings, own_tsvector)
        self._encoder = self._open_encoder() if "%(vector)s" in self._sql else None
        say("  " + self._sql.replace("\n", "\n  "))

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        return {
            query_id: self._ask_again(query_id, self._parameters(text, depth))
            for query_id, text in queries.items()
        }

    def notes(self) -> dict[str, object]:
        vector = {"model": self._settings.model, "queries_cut": self._queries_cut}
        return {
            "sql": self._sql,
            "server": self._connection.info.server_version,
            "reconnects": self._reconnects,
            **(vector if self._encoder else {}),
        }

    def _open_encoder(self) -> Encoder:
        from crosstune.data.first_stages.encoder import Encoder

        settings = self._settings
        encoder = Encoder(settings.model, None, settings.query_prompt, None)
        kind = self._columns.get(settings.vector_column, "")
        if settings.sql is None and "(" in kind and kind != f"vector({encoder.dimension})":
            raise InputError(
                f"first_stage.vector_column {settings.vector_column} is {kind}, first_stage.model "
                f"{settings.model} makes {encoder.dimension} numbers; give the encoder that filled it"
            )
        return encoder

    def _parameters(self, text: str, depth: int) -> dict[str, Any]:
        # A zero byte is no text to PostgreSQL.
        parameters: dict[str, Any] = {"query": text.replace("\0", " "), "depth": depth}
        if self._encoder is not None:
            encoded = self._encoder.encode([text], "query")
            self._queries_cut += int(encoded.cut.sum())
            parameters["vector"] = str(encoded.vectors[0].tolist())
        return parameters

    def _ask_again(self, query_id: str, parameters: Mapping[str, Any]) -> list[tuple[str, float]]:
        import psycopg

        for last in (False, True):
            try:
                return self._ask(parameters)
            except psycopg.Error as error:
                if not self._connection.broken:
                    raise InputError(
                        f"PostgreSQL, query {query_id!r}: {_line(error)}; "
                        f"{advice(error, self._settings, list(self._columns))}"
                    ) from None
                if last:
                    raise InputError(
                        f"PostgreSQL: the connection dropped twice in query {query_id!r} ({_line(error)}); "
                        "look into the server's log, then call the same command again"
                    ) from None
                say(f"  the connection dropped in query {query_id!r}; connecting again")
                self._reconnects += 1
                self._connection = self._reconnect()
        raise AssertionError("unreachable")

    def _ask(self, parameters: Mapping[str, Any]) -> list[tuple[str, float]]:
        """In a transaction of its own, which a server-side cursor needs."""
        import psycopg

        connection = self._connection
        with connection.transaction():
            if self._encoder is not None:
                # A graph gives at most ef_search rows, 40 unless told.
                wanted = str(min(max(parameters["depth"], 40), _MOST_EF_SEARCH))
                connection.execute("SELECT set_config('hnsw.ef_search', %s, true)", [wanted])
            with psycopg.ServerCursor(connection, "crosstune") as cursor:
                cursor.itersize = _ROWS_AT_ONCE
                cursor.execute(self._sql.encode(), parameters)
                if cursor.description is None or len(cursor.description) != 2:
                    raise InputError("first_stage.sql: two columns were expected, the id and the score")
                return [(str(row[0]), _number(row[1])) for row in cursor]

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        try:
            return self._open()
        except psycopg.Error as error:
            raise InputError(
                f"PostgreSQL cannot be reached: {_line(error)}; check that the server runs and "
                "first_stage.connection names it. A password belongs into PGPASSWORD or ~/.pgpass"
            ) from None

    def _reconnect(self) -> psycopg.Connection[Any]:
        """A server that restarts refuses connections for a while: it is asked again, with growing waits."""
        import psycopg
        import tenacity

        def told(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            wait = state.next_action.sleep if state.next_action else 0
            reason = _line(error) if isinstance(error, psycopg.Error) else error
            say(f"  PostgreSQL cannot be reached ({reason}); trying again in {wait:.1f} s")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(psycopg.OperationalError),
            wait=tenacity.wait_exponential(multiplier=0.5, max=_MOST_SECONDS_BETWEEN),
            stop=tenacity.stop_after_delay(_RECONNECT_SECONDS),
            before_sleep=told,
            reraise=True,
        )
        try:
            return retrying(self._open)
        except psycopg.Error as error:
            raise InputError(
                f"PostgreSQL could not be reached again within {_RECONNECT_SECONDS} s: {_line(error)}; look "
                "into the server's log, then call the same command again"
            ) from None

    def _open(self) -> psycopg.Connection[Any]:
        import psycopg

        settings = self._settings
        connection = psycopg.connect(
            settings.connection,
            autocommit=True,
            connect_timeout=10,
            application_name="crosstune",
            client_encoding="UTF8",  # whatever the database's: the server converts
        )
        connection.execute(_SESSION, [f"{settings.seconds_per_query}s"])
        return connection

    def _read_columns(self) -> dict[str, str]:
        """The table's columns and their types; none for a table that is not there."""
        import psycopg

        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in self._settings.table.split("."))
        try:
            return dict(self._connection.execute(_COLUMNS, {"table": quoted}).fetchall())
        except psycopg.Error as error:
            raise InputError(f"PostgreSQL: {_line(error)}") from None


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"first_stage.sql: the score {value!r} is no number; the second column is") from None


def _line(error: psycopg.Error) -> str:
    """The server's message in one line; libpq never puts a password into it."""
    primary = error.diag.message_primary
    return primary or " ".join(str(error).split()) or type(error).__name__

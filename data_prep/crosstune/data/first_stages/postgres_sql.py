"""The statements that PostgreSQL is asked, and what an error of its means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from crosstune.data.first_stages.settings import PostgresSettings

_OPERATORS = {"cosine": "<=>", "dot": "<#>"}


def statement(settings: PostgresSettings, text_is_tsvector: bool) -> str:
    """The recipe's own SQL, or what is built from its table and columns; `%(name)s` are parameters.

    Full text: any word of the query makes a candidate (a question's words are hardly ever all in one
    passage), ranked by `ts_rank`, which counts how often and where they stand. Names are quoted; the
    configuration is a literal, since an expression index is used only then.
    """
    if settings.sql is not None:
        return settings.sql.strip().rstrip(";")
    table = ".".join(_name(part) for part in settings.table.split("."))
    identifier = f"{_name(settings.id_column)}::text"
    if settings.search == "vector":
        distance = f"{_name(settings.vector_column)} {_OPERATORS[settings.similarity]} %(vector)s::vector"
        score = f"1 - ({distance})" if settings.similarity == "cosine" else f"-({distance})"
        return f"SELECT {identifier}, {score}\nFROM {table}\nORDER BY {distance}\nLIMIT %(depth)s"
    language = "'" + settings.language.replace("'", "''").replace("%", "%%") + "'::regconfig"
    column = _name(settings.text_column)
    words = column if text_is_tsvector else f"to_tsvector({language}, {column})"
    return (
        f"SELECT {identifier}, ts_rank({words}, any_word, 1)\n"
        f"FROM {table}, CAST(replace(plainto_tsquery({language}, %(query)s)::text, ' & ', ' | ') AS tsquery) "
        "AS any_word\n"
        f"WHERE {words} @@ any_word\nORDER BY 2 DESC, 1\nLIMIT %(depth)s"
    )


def _name(word: str) -> str:
    return '"' + word.replace('"', '""').replace("%", "%%") + '"'


def advice(error: psycopg.Error, settings: PostgresSettings, columns: list[str]) -> str:  # noqa: PLR0911
    """What to do about an error of the server, by its class (PostgreSQL's appendix A)."""
    from psycopg import errors

    match error:
        case errors.UndefinedTable():
            return f"give the table as first_stage.table (now {settings.table})"
        case errors.UndefinedColumn():
            return (
                f"the table {settings.table} has: {', '.join(columns) or 'no column that can be seen'}; set "
                f"first_stage.id_column, first_stage.{settings.search}_column"
            )
        case errors.UndefinedObject() | errors.UndefinedFunction():
            return (
                "is pgvector there (CREATE EXTENSION vector)"
                if settings.search == "vector"
                else f"is {settings.language!r} a text search configuration (\\dF lists them), and "
                f"first_stage.text_column ({settings.text_column}) of type text or tsvector"
            ) + "?"
        case errors.UntranslatableCharacter() | errors.CharacterNotInRepertoire():
            return (
                "the database's encoding has no place for a character of the query, or what it holds is not "
                "UTF-8; leave the query out, or move the table to a database of encoding UTF8"
            )
        case errors.DataException():
            return (
                f"first_stage.model ({settings.model}) has to be the encoder that filled "
                f"{settings.vector_column}"
            )
        case errors.QueryCanceled():
            return (
                f"the statement took more than first_stage.seconds_per_query = {settings.seconds_per_query}: "
                "an index is missing, or the limit is too low"
            )
        case errors.InsufficientPrivilege():
            return f"GRANT SELECT ON {settings.table} to this user"
    return "the statement is shown above; first_stage.sql gives another one"

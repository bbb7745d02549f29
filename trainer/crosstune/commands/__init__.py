"""The commands of the command line, a module each: words in, one call, the answer printed.

A module here holds the typer signature of its command and a `register(app)`. It imports nothing heavy at the
top, so that `crosstune rank` and `--help` need neither torch nor pydantic.
"""

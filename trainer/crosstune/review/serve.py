"""What `crosstune review` does."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from crosstune.errors import MissingExtra
from crosstune.inspection import run_collection
from crosstune.progress import say
from crosstune.recipe import load_recipe
from crosstune.review.app import make_app
from crosstune.review.desk import Desk
from crosstune.run import RunFolder
from crosstune.serve.http.listener import listen


def serve(root: Path, port: int) -> None:
    """Serves until Ctrl-C. Raises `InputError` for a run that was not mined, a review that is open and a port
    that is taken."""
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise MissingExtra("crosstune review", "serve") from None

    folder = RunFolder(root)
    collection = run_collection(folder)
    seed = load_recipe(str(folder.recipe)).seed
    app = make_app(Desk(collection, folder.ledger, folder.review, seed))
    listener = listen("127.0.0.1", port, f"--port {port}")
    say(f"review: http://127.0.0.1:{port}  (Ctrl-C ends; each answer is saved at once to {folder.review})")
    say(f"mining obeys it with mine.review={folder.review}")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])

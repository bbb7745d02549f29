"""Hot reload: a folder whose manifest changed is loaded and checked beside the running model, then takes its
place. Requests that are under way end on the model that they began with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from crosstune.errors import InputError
from crosstune.serve.http.keys import Keys
from crosstune.serve.http.logs import log, log_error
from crosstune.serve.http.model import Signature, Source, load, signature
from crosstune.serve.http.service import Service

AGAIN_SECONDS = 10.0
"""A folder that was refused is read again after so long: it may have been half copied."""


class Reloader:
    """Looks at the export folders and the key file every `reload_seconds`."""

    def __init__(self, service: Service, models: Mapping[str, Source], keys: Keys | None) -> None:
        self._service = service
        self._models = models
        self._keys = keys
        self._refused: dict[str, tuple[Signature, float]] = {}

    async def run(self) -> None:
        """Until it is cancelled, whatever happens to a folder or the file."""
        while True:
            await asyncio.sleep(self._service.options.reload_seconds)
            try:
                self._refresh_keys()
                for name, source in self._models.items():
                    await self._look(name, source)
            except Exception as error:
                log_error("looking for a change failed, it is tried again", error)

    async def _look(self, name: str, source: Source) -> None:
        seen = signature(source.folder)
        if seen is None or seen == self._service.engines[name].signature:
            return  # a folder that is gone for a moment is being replaced
        before = self._refused.get(name)
        if before is not None and before[0] == seen and time.monotonic() - before[1] < AGAIN_SECONDS:
            return
        try:
            engine = await asyncio.get_running_loop().run_in_executor(
                None, load, name, source.folder, source.backend
            )
        except Exception as error:
            self._refuse(name, seen, error)
            return
        self._service.engines[name] = engine
        self._service.batcher.forget(name)
        self._service.reload_errors.pop(name, None)
        self._refused.pop(name, None)
        self._service.metrics.reload("done")
        log("model replaced", model=name, manifest_sha256=engine.facts["manifest_sha256"])

    def _refuse(self, name: str, seen: Signature, error: Exception) -> None:
        self._refused[name] = (seen, time.monotonic())
        message = str(error) if isinstance(error, InputError) else type(error).__name__
        self._service.reload_errors[name] = message
        self._service.metrics.reload("refused")
        log_error("model not replaced, the one before goes on", error, model=name)

    def _refresh_keys(self) -> None:
        if self._keys is None:
            return
        try:
            if self._keys.refresh():
                self._service.metrics.reload("done")
                log("keys replaced")
        except (InputError, OSError) as error:
            self._service.metrics.reload("refused")
            log_error("keys not replaced, those before go on", error)

"""HTTP/1.1 by h11, with time limits for what a client sends and reads: uvicorn has none of its own."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_BYTES = 32 * 1024


def guarded_protocol(seconds: float) -> type[H11Protocol]:
    """A protocol that closes a connection on which a client is slow: whose request head is not complete
    after so many seconds, from the connection's start or from the first byte after the request before it, or
    which does not end a body that nobody reads, from the end of the answer to it. What was sent and is not
    taken within as many seconds is dropped with its connection: a closed one would wait for its reader."""

    class GuardedProtocol(H11Protocol):
        _watched: type[object] | None = None
        _timer: asyncio.TimerHandle | None = None
        _unsent: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.set_write_buffer_limits(0)  # so that writing pauses while anything is unsent
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._awaited() is h11.SEND_BODY:
                self._watch()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unsent = self.loop.call_later(seconds, self._drop)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._sent()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            self._sent()
            super().connection_lost(exc)

        def _awaited(self) -> type[object] | None:
            """What the client owes: a head, the rest of a body whose request was answered, or nothing that
            is watched here."""
            state: type[object] = self.conn.their_state
            answered = state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete
            return state if answered or state is h11.IDLE else None

        def _watch(self) -> None:
            awaited = self._awaited()
            if awaited is not self._watched:
                self._forget()
                self._watched = awaited
                if awaited is not None:
                    self._timer = self.loop.call_later(seconds, self._close_slow)

        def _forget(self) -> None:
            self._watched = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _sent(self) -> None:
            if self._unsent is not None:
                self._unsent.cancel()
                self._unsent = None

        def _drop(self) -> None:
            self._unsent = None
            if self.transport.get_write_buffer_size() > 0:
                self.transport.abort()

        def _close_slow(self) -> None:
            self._timer = None
            if self._awaited() is self._watched and not self.transport.is_closing():
                self.transport.close()

    return GuardedProtocol

"""One request to an endpoint: its attempts, the waits between them, and what each failure means."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import httpx
import tenacity

from crosstune.endpoints.answers import excerpt
from crosstune.endpoints.load import Load

LONGEST_WAIT_SECONDS = 120.0
"""A `Retry-After` beyond it ends the call: the answers so far are kept."""

PASSING = frozenset({408, 424, 425, 429})
"""Statuses that may be gone at the next attempt, beside all from 500 on."""

backoff = tenacity.wait_random_exponential(multiplier=0.5, min=0.25, max=30)


class Refused(Exception):  # noqa: N818
    """The endpoint will not answer this request, however often it is asked. `status`: None where there was no
    answer at all."""

    def __init__(self, found: str, todo: str, status: int | None = None) -> None:
        self.found, self.status = found, status
        super().__init__(f"found {found}; expected status 200; {todo}")


class GaveUp(Exception):  # noqa: N818
    """All attempts failed in ways that may pass."""


class TooLarge(Exception):  # noqa: N818
    """The request is larger than the endpoint takes."""

    def __init__(self, found: str) -> None:
        super().__init__(f"found {found}; expected status 200")


class _Passing(Exception):  # noqa: N818
    def __init__(self, found: str, wait: float | None = None) -> None:
        super().__init__(found)
        self.wait = wait


@dataclass(frozen=True)
class Response:
    """An answer with status 200; `failures`: attempts before it."""

    body: bytes
    media_type: str
    milliseconds: float
    failures: int


class Pace:
    """Spaces the beginnings of requests evenly. Used by one event loop."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        slot = max(now, self._next)
        self._next = slot + self._gap
        await asyncio.sleep(slot - now)


@dataclass(frozen=True)
class Poster:
    """Posts JSON. `key` goes into the header alone; it is taken out of whatever the endpoint says."""

    client: httpx.AsyncClient
    url: str
    key: str | None
    pace: Pace
    timeout_seconds: float
    attempts: int
    advice: str = "check --style and --model"

    async def post(self, value: Any) -> Response:
        """Raises `Refused`, `TooLarge` or, after all attempts, `GaveUp`."""
        body = json.dumps(value, ensure_ascii=False).encode()
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            wait=_wait,
            stop=tenacity.stop_after_attempt(self.attempts),
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    await self.pace.turn()
                    started = time.perf_counter()
                    response = await self._send(body)
                    milliseconds = 1000 * (time.perf_counter() - started)
                    self._check(response)
                    media_type = response.headers.get("content-type", "").partition(";")[0]
                    failures = attempt.retry_state.attempt_number - 1
                    return Response(response.content, media_type, milliseconds, failures)
        except _Passing as error:
            raise GaveUp(f"{error}, {self.attempts} times in a row") from None
        raise AssertionError("the attempts end with an answer or an error")

    async def _send(self, body: bytes) -> httpx.Response:
        login = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers = {"Content-Type": "application/json", "Accept": "application/json", **login}
        try:
            asked = self.client.post(self.url, content=body, headers=headers)
            return await asyncio.wait_for(asked, self.timeout_seconds)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            raise _Passing(f"no whole answer within {self.timeout_seconds:g} s") from None
        except httpx.TransportError as error:
            raise _Passing(f"a broken connection ({error or type(error).__name__})") from None
        except httpx.InvalidURL as error:
            raise Refused(f"no address ({error})", "check the address") from None
        except httpx.DecodingError as error:
            raise Refused(
                f"a body that cannot be unpacked ({error})", "the endpoint or a proxy is at fault"
            ) from None

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        said = excerpt(response.content, self.key)
        found = f"status {status}" + (f" ({said})" if said else "")
        if status in PASSING or status >= 500:
            wait = retry_after(response.headers.get("retry-after"))
            if wait is not None and wait > LONGEST_WAIT_SECONDS:
                raise GaveUp(f"{found}, which asks to wait {wait:.0f} s")
            raise _Passing(found, wait)
        if status == 413 or (status in (400, 422) and "batch size" in said.lower()):
            raise TooLarge(found)
        raise Refused(found, self._todo(status), status)

    def _todo(self, status: int) -> str:
        if status in (401, 403):
            return "name the environment variable that holds a valid key with --api-key-env NAME"
        if status in (404, 405):
            return "check the address, its path, and --model"
        if 300 <= status < 400:
            return "redirections are not followed, a key would go with them: give the address itself"
        return self.advice


@asynccontextmanager
async def poster(url: str, key: str | None, load: Load, **more: str) -> AsyncIterator[Poster]:
    """Opens connections to one address. Redirections are not followed: the key would go to another host."""
    limits = httpx.Limits(max_connections=load.concurrency)
    client = httpx.AsyncClient(timeout=load.timeout_seconds, limits=limits, follow_redirects=False)
    async with client:
        pace = Pace(load.per_minute)
        yield Poster(client, url, key, pace, load.timeout_seconds, load.attempts, **more)


def _wait(state: tenacity.RetryCallState) -> float:
    """The wait that the endpoint asked for and a little more, or else an exponential one, with chance in it
    so that requests that failed together do not come back together."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Passing) and error.wait is not None:
        return error.wait + 0.1
    return backoff(state)


def retry_after(text: str | None) -> float | None:
    """Seconds to wait, of a number or a date; `None` where there is neither."""
    if text is None:
        return None
    if text.isascii() and text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())

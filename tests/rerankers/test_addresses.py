"""Where requests go: base addresses as clients have them, whole addresses, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from crosstune.endpoints.address import shown
from crosstune.endpoints.http import retry_after
from crosstune.errors import InputError
from crosstune.rerankers.styles import STYLES, address

HOST = "https://api.example.org"


@pytest.mark.parametrize(
    ("given", "style", "expected"),
    [
        (HOST, "cohere", f"{HOST}/v2/rerank"),
        (f"{HOST}/", "jina", f"{HOST}/v1/rerank"),
        (f"{HOST}/v1", "jina", f"{HOST}/v1/rerank"),
        (f"{HOST}/v1/", "voyage", f"{HOST}/v1/rerank"),
        (f"{HOST}/tei", "tei", f"{HOST}/tei/rerank"),
        (f"{HOST}/v1", "tei", f"{HOST}/v1/rerank"),
        (f"{HOST}/v2/rerank", "vllm", f"{HOST}/v2/rerank"),
        (f"{HOST}/a/rerank?api-version=3", "infinity", f"{HOST}/a/rerank?api-version=3"),
        ("http://[::1]:8080/vllm", "vllm", "http://[::1]:8080/vllm/v1/rerank"),
    ],
)
def test_addresses(given: str, style: str, expected: str) -> None:
    assert address(given, STYLES[style]) == expected


@pytest.mark.parametrize(
    "given", ["api.example.org", "ftp://host/rerank", "http:///rerank", "", "http://h:99999", "http://[::1"]
)
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(InputError, match="http:// or https:// and a host were expected"):
        address(given, STYLES["tei"])


def test_logins_and_queries_are_not_shown() -> None:
    with pytest.raises(InputError, match="has a login in it") as caught:
        address("https://me:secret@host/rerank", STYLES["tei"])
    assert "secret" not in str(caught.value)
    assert shown(f"{HOST}/rerank?key=secret") == f"{HOST}/rerank"


def test_how_long_to_wait() -> None:
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after("\u00b2") is None, "a digit, and no number"
    assert retry_after(" 7 ") == 7
    now = datetime.now(timezone.utc)
    assert retry_after(format_datetime(now + timedelta(seconds=50), usegmt=True)) == pytest.approx(50, abs=5)
    assert retry_after(format_datetime(now - timedelta(days=1), usegmt=True)) == 0

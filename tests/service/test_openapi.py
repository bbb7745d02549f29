"""Schemathesis over every operation of the OpenAPI document, against a real server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from crosstune.serve.http.wire import paths
from searched import write_searched
from served import Served, serving, tiny_export

CASES = 10_000
PARTS = 4
"""Tests of as many cases each, for workers beside each other."""
CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With the search of the demo page, which is a path more."""
    collection = write_searched(tmp_path_factory.mktemp("search") / "words")
    with serving(tiny_export(), "--collection", f"beir:{collection}") as running:
        yield running


def test_every_path_is_described_with_the_errors_of_its_format(served: Served) -> None:
    document = served.get("/openapi.json").json
    assert "/demo/search" in document["paths"]
    for path, (style, _) in paths(None).items():
        responses = document["paths"][path]["post"]["responses"]
        for status in (style.status("invalid"), 401, 413, 415, 429, 503):
            schema = responses[str(status)]["content"]["application/json"]["schema"]["$ref"]
            assert "Error" in schema, (path, status)
    names = [row["operationId"] for item in document["paths"].values() for row in item.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("first_seed", "cases"),
    [
        (0, 150),
        *(pytest.param(1000 * part, CASES // PARTS, marks=pytest.mark.slow) for part in range(1, PARTS + 1)),
    ],
)
def test_no_case_breaks_the_service_or_its_description(served: Served, first_seed: int, cases: int) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 15
    sent = 0
    for number in range(first_seed, first_seed + 20):
        share = math.ceil((cases - sent) / len(operations))
        counts = [_attack(served, operation, number, share) for operation in operations]
        sent += sum(counts)
        # Those without a body have few cases, which are all sent by now.
        operations = [one for one, count in zip(operations, counts, strict=True) if count >= share]
        if sent >= cases:
            break
    assert sent >= cases
    assert not served.events("request failed"), json.dumps(served.log[-3:])


def _attack(served: Served, operation: Any, number: int, most: int) -> int:
    """How many cases of this operation were sent and answered well."""
    answered = 0

    @seed(number)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), good=st.booleans())
    def attack(case: schemathesis.Case, good: bool) -> None:
        nonlocal answered
        if good and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "tiny"
        response = case.call(base_url=served.url, timeout=60)
        case.validate_response(response, checks=CHECKS)
        assert "Traceback" not in response.text
        answered += 1

    attack()
    return answered

"""Schemathesis over every operation of the OpenAPI document, against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from crosstune.serve.http.wire import paths
from served import Served, serving, tiny_export

CASES = 40
CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(tiny_export()) as running:
        yield running


def test_every_path_is_described_with_the_errors_of_its_format(served: Served) -> None:
    document = served.get("/openapi.json").json
    for path, (style, _) in paths(None).items():
        responses = document["paths"][path]["post"]["responses"]
        for status in (style.status("invalid"), 401, 413, 415, 429, 503):
            schema = responses[str(status)]["content"]["application/json"]["schema"]["$ref"]
            assert "Error" in schema, (path, status)
    names = [row["operationId"] for item in document["paths"].values() for row in item.values()]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_no_case_breaks_the_service_or_its_description(served: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 15
    seen = 0
    for operation in operations:

        @settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), good=st.booleans())
        def attack(case: schemathesis.Case, good: bool) -> None:
            nonlocal seen
            if good and isinstance(case.body, dict) and "model" in case.body:
                case.body["model"] = "tiny"
            response = case.call(base_url=served.url, timeout=60)
            case.validate_response(response, checks=CHECKS)
            assert "Traceback" not in response.text
            seen += 1

        attack()
    assert seen > 200
    assert not served.events("request failed"), json.dumps(served.log[-3:])

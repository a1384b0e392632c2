"""Requests that are made from the server's own description, and what is nearly such, are answered as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import schemathesis
import servers
import table_models
import tiny_models
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    unsupported_method,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemathesis.checks import CheckFunction
    from schemathesis.schemas import APIOperation, BaseSchema

PACKAGES = {"table": tiny_models.table, "classifier": table_models.classifier, "linear": tiny_models.linear}
#: More is taken than is described, and answered in kind: GET as by Azure ML's server, documents of other kinds.
LENIENT = [unsupported_method, negative_data_rejection]
#: What a schema cannot say: that there are as many values as the shape says, and each tensor is there once.
INFER = [*LENIENT, positive_data_acceptance]


@pytest.fixture(scope="module", params=PACKAGES)
def description(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    package: Path = PACKAGES[request.param](tmp_path_factory.mktemp("packages") / request.param)
    with servers.serving(package) as server:
        yield schemathesis.openapi.from_url(f"http://{server.url}/swagger.json?version=3")
        assert not any('"level":"error"' in line for line in server.lines)


def ask(operation: APIOperation, mode: GenerationMode, excluded: list[CheckFunction]) -> None:
    """Send some requests of an operation and check the answers."""

    @given(case=operation.as_strategy(mode))
    @settings(max_examples=15, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def asking(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=excluded, timeout=60)

    asking()


def test_what_is_described_is_answered_as_described(description: BaseSchema) -> None:
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) == 10
    for operation in operations:
        ask(operation, GenerationMode.POSITIVE, INFER if operation.path.endswith("/infer") else LENIENT)


def test_what_is_nearly_described_is_answered_or_refused_and_nothing_fails(description: BaseSchema) -> None:
    operations = [found.ok() for found in description.get_all_operations()]
    for operation in operations:
        if operation.method == "post":
            ask(operation, GenerationMode.NEGATIVE, [*INFER, response_schema_conformance])

"""Each operation of the API is documented with a summary, examples and its errors."""

from typing import Any

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator

SCHEMA: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for operations in SCHEMA["paths"].values()
    for operation in operations.values()
]


def has_example(body: dict[str, Any]) -> bool:
    """Return whether each media type of `body` has an example."""
    return all("example" in content or "examples" in content for content in body.get("content", {}).values())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_documented_with_examples(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert has_example(operation.get("requestBody", {}))
    for status, response in operation["responses"].items():
        assert response["description"] or int(status) < 400, status
        assert int(status) >= 400 or has_example(response), status


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_examples_of_requests_are_valid(operation: dict[str, Any]) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = {"components": SCHEMA["components"], **content["schema"]}
        for example in content.get("examples", {}).values():
            jsonschema.validate(example["value"], schema, jsonschema.Draft4Validator)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_names_its_errors_and_each_is_a_problem(operation: dict[str, Any]) -> None:
    expected = {"401", "406", "429", "503"} | ({"400", "413", "415"} if "requestBody" in operation else set())
    assert expected <= operation["responses"].keys()
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            assert list(response["content"]) == ["application/problem+json"], status
    assert operation["responses"]["429"]["headers"]["Retry-After"]

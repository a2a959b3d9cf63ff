"""The API describes itself completely."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.api.test_access import ROUTES, operations
from webapp.api.api import api


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return dict(api.get_openapi_schema(path_prefix="/api/v1/"))


def described(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its id."""
    found = [operation for path in description["paths"].values() for operation in path.values()]
    return {operation["operationId"]: operation for operation in found}


def test_every_operation_is_described_under_its_own_name(description: dict[str, Any]) -> None:
    assert sorted(described(description)) == sorted(set(operations()) - {"unknown_address"})


def test_every_operation_has_a_tag_a_summary_and_its_errors(description: dict[str, Any]) -> None:
    for name, operation in described(description).items():
        assert operation["tags"] and operation["summary"], name
        assert {"401", "422"} <= set(operation["responses"]), name
        assert operation["security"] == [{"BearerToken": []}, {"Session": []}], name


def test_every_answer_has_a_schema(description: dict[str, Any]) -> None:
    for name, operation in described(description).items():
        for status, reply in operation["responses"].items():
            if status != "204":
                assert all(content["schema"] for content in reply["content"].values()), (name, status)


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for item in value.values() for found in references(item)]
        return [found for item in value for found in references(item)] if isinstance(value, list) else []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(description)}
    assert names <= set(description["components"]["schemas"])


def test_every_body_that_is_sent_as_json_has_an_example(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    for name, operation in described(description).items():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            schema = content["schema"]
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
            assert schema.get("examples"), name


def test_the_description_is_served_to_anybody() -> None:
    response = Client().get("/api/v1/openapi.json")
    assert response.status_code == 200
    assert response.json()["info"]["title"] == "Hone"


def test_every_method_in_the_table_of_routes_is_the_described_one(description: dict[str, Any]) -> None:
    methods = {
        operation["operationId"]: method.upper()
        for path in description["paths"].values()
        for method, operation in path.items()
    }
    assert all(methods[row.operation] == row.method for row in ROUTES if row.operation != "unknown_address")

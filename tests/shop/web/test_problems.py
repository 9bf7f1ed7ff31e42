"""Errors as application/problem+json."""

import json
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework.exceptions import MethodNotAllowed, NotFound, ParseError, Throttled, ValidationError

from shop.web.problems import flatten_errors, problem, problem_response


@pytest.mark.parametrize(
    ("detail", "flat"),
    [
        ({"email": ["Wrong."]}, [("email", "Wrong.")]),
        ({"email": ["Wrong.", "Very."]}, [("email", "Wrong."), ("email", "Very.")]),
        ({"lines": {0: {"sku": ["Unknown."]}}}, [("lines[0].sku", "Unknown.")]),
        ({"lines": [{}, {"sku": ["Unknown."]}]}, [("lines[1].sku", "Unknown.")]),
        ({"lines": {2: ["Not an object."]}}, [("lines[2]", "Not an object.")]),
        ({"address": {"city": ["Missing."]}}, [("address.city", "Missing.")]),
        ({"a": {"b": {"c": [{"d": ["Deep."]}]}}}, [("a.b.c[0].d", "Deep.")]),
        ({"non_field_errors": ["Wrong."]}, [("body", "Wrong.")]),
        ({"address": {"non_field_errors": ["No object."]}}, [("address", "No object.")]),
        (["Wrong."], [("body", "Wrong.")]),
        ("Wrong.", [("body", "Wrong.")]),
        ({}, []),
    ],
)
def test_each_wrong_field_is_named_by_its_path(detail: Any, flat: list[tuple[str, str]]) -> None:
    assert [(error["field"], error["message"]) for error in flatten_errors(detail)] == flat


def answer_to(error: Exception) -> tuple[Any, dict[str, Any]]:
    answer = problem_response(error, {})
    assert answer is not None
    assert answer["Content-Type"] == "application/problem+json"
    return answer, json.loads(answer.content)


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (ValidationError({"email": ["Wrong."]}), 400, "Bad Request"),
        (ParseError("Not JSON."), 400, "Bad Request"),
        (NotFound("Not here."), 404, "Not Found"),
        (Http404(), 404, "Not Found"),
        (MethodNotAllowed("PUT"), 405, "Method Not Allowed"),
    ],
)
def test_an_error_says_what_it_is(error: Exception, status: int, title: str) -> None:
    answer, body = answer_to(error)
    assert (answer.status_code, body["status"], body["title"], body["type"]) == (status, status, title, "about:blank")
    assert body["detail"]


def test_the_detail_names_every_wrong_field() -> None:
    wrong: dict[str, Any] = {"email": ["Wrong."], "lines": {0: {"sku": ["Unknown."]}}}
    _, body = answer_to(ValidationError(wrong))
    assert body["detail"] == "email: Wrong.; lines[0].sku: Unknown."
    assert len(body["errors"]) == 2


def test_headers_that_go_with_an_error_stay() -> None:
    answer, _ = answer_to(Throttled(wait=30))
    assert answer["Retry-After"] == "30"


def test_no_errors_no_list_of_them() -> None:
    assert "errors" not in json.loads(problem(404, "Not here.").content)


@pytest.mark.parametrize("error", [OperationalError(), InterfaceError(), KeyError("x")])
def test_errors_of_the_server_are_not_turned_into_problems(error: Exception) -> None:
    assert problem_response(error, {}) is None

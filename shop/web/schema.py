"""Error responses that all operations of the API share, added to the OpenAPI schema."""

from typing import Any

_ALWAYS = {
    "401": "The token in the `Authorization` header is missing, unknown, expired or logged out.",
    "406": "The `Accept` header does not accept JSON.",
    "429": "Too many requests: wait `Retry-After` seconds.",
    "503": "The shop can't reach its database: try again after `Retry-After` seconds, with the same Idempotency-Key.",
}
_WITH_BODY = {
    "400": "The body is not JSON, or a field is invalid. `errors` lists the invalid fields.",
    "413": "The body is over 64 KB.",
    "415": "The body is not `application/json`.",
}
_WAIT = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}
_EXAMPLES = {
    "400": ("Bad Request", "email: Enter a valid email address."),
    "401": ("Unauthorized", "This token is unknown, expired or logged out."),
    "404": ("Not Found", "There is no such order."),
    "429": ("Too Many Requests", "Request was throttled. Expected available in 12 seconds."),
}


def complete_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the common errors to each operation and the media type to each error (a hook of drf-spectacular)."""
    for path, operations in result["paths"].items():
        if not path.startswith("/api/v1/"):
            continue
        for operation in operations.values():
            complete_operation(operation)
    return result


def complete_operation(operation: dict[str, Any]) -> None:
    """Add the missing error responses to `operation`, and keep its own descriptions."""
    common = {**_ALWAYS, **(_WITH_BODY if "requestBody" in operation else {})}
    responses = operation["responses"]
    for status, description in common.items():
        responses.setdefault(status, {"description": description})
    for status, response in responses.items():
        if int(status) < 400:
            continue
        response["content"] = {"application/problem+json": describe_problem(status)}
        if status in ("429", "503"):
            response.setdefault("headers", {}).update(_WAIT)
    operation["responses"] = dict(sorted(responses.items()))


def describe_problem(status: str) -> dict[str, Any]:
    """Return the OpenAPI description of an error's body."""
    body: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if status in _EXAMPLES:
        title, detail = _EXAMPLES[status]
        example: dict[str, Any] = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
        if status == "400":
            field, _, message = detail.partition(": ")
            example["errors"] = [{"field": field, "message": message}]
        body["example"] = example
    return body

"""What all operations of the API share, written into the schema once: errors are problems, and which there are."""

from typing import Any

_ALWAYS = {
    "401": "The `Authorization` header holds no token, or one that is unknown, has run out, or was logged out.",
    "406": "The `Accept` header wants something other than JSON.",
    "429": "Too many requests: wait `Retry-After` seconds.",
    "503": "The shop cannot reach its database: try again after `Retry-After` seconds, with the same Idempotency-Key.",
}
_WITH_BODY = {
    "400": "The body is no JSON, or a field is wrong; `errors` names each.",
    "413": "The body is over 64 KB.",
    "415": "The body is not `application/json`.",
}
_WAIT = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}
_EXAMPLES = {
    "400": ("Bad Request", "email: Enter a valid email address."),
    "401": ("Unauthorized", "This token is unknown, has run out, or was logged out."),
    "404": ("Not Found", "There is no such order."),
    "429": ("Too Many Requests", "Request was throttled. Expected available in 12 seconds."),
}


def complete_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Give each operation its common errors, and each error its media type (a postprocessing hook of spectacular)."""
    for path, operations in result["paths"].items():
        if not path.startswith("/api/v1/"):
            continue
        for operation in operations.values():
            complete_operation(operation)
    return result


def complete_operation(operation: dict[str, Any]) -> None:
    """Add what is missing to one operation. What it says itself stays."""
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
    """The body of an error."""
    body: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if status in _EXAMPLES:
        title, detail = _EXAMPLES[status]
        example: dict[str, Any] = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
        if status == "400":
            field, _, message = detail.partition(": ")
            example["errors"] = [{"field": field, "message": message}]
        body["example"] = example
    return body

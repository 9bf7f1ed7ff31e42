"""The interpolation of docker-compose.yml, as the Compose specification describes it, without Docker."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
_INNERMOST = re.compile(r"\$\{(?P<name>\w+)(?:(?P<operator>:?[-+?])(?P<word>[^{}]*))?\}")


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with ${NAME}, ${NAME:-default}, ${NAME:+other} and ${NAME:?error} replaced, also nested.

    :raises ValueError: a variable with :? is missing, or a form is unknown.
    """

    def replace(found: re.Match[str]) -> str:
        value, operator, word = variables.get(found["name"], ""), found["operator"] or "", found["word"] or ""
        if operator not in ("", ":-", ":+", ":?"):
            raise ValueError(f"unknown form: {found[0]}")
        if operator == ":?" and not value:
            raise ValueError(f"{found['name']}: {word}")
        return {"": value, ":?": value, ":-": value or word, ":+": word if value else ""}[operator]

    while _INNERMOST.search(text):
        text = _INNERMOST.sub(replace, text)
    if "$" in text.replace("$$", ""):
        raise ValueError(f"unknown form in {text!r}")
    return text.replace("$$", "$")


def read_services(**variables: str) -> dict[str, Any]:
    """Return the services of the file, expanded with `variables` and nothing else."""

    def expand(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: expand(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [expand(inner) for inner in value]
        return interpolate(value, variables) if isinstance(value, str) else value

    return dict(expand(yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]))

"""Differences between two JSON Schemas of an event, and their compatibility for readers. Pure functions.

The comparison supports the keywords that msgspec generates. Readers ignore unknown fields, so a new optional field is
compatible. A change that is not proven compatible counts as incompatible.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

_KINDS = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}
_LOWER_LIMITS = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER_LIMITS = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
# Keywords that are compared elsewhere, or that do not restrict values.
_NO_CONSTRAINTS = {
    *("type", "properties", "required", "items", "prefixItems", "additionalProperties", "$ref", "$defs", "anyOf"),
    *("title", "description", "examples", "default", "discriminator", "$schema", "$id"),
}


class Change(NamedTuple):
    """One difference between an old and a new schema."""

    field: str
    what: str
    new_reads_old: bool
    old_reads_new: bool

    def __str__(self) -> str:
        return f"`{self.field}` {self.what}"


class _Field(NamedTuple):
    """A field: whether it is required, and the kinds of values it accepts, each with its constraints."""

    parent: str
    required: bool
    kinds: dict[str, dict[str, Any]]
    default: Any


def compare(old: Schema, new: Schema) -> list[Change]:
    """Return the differences from `old` to `new`, sorted by field. Changes of descriptions are ignored."""
    before = dict(_walk("", old, old.get("$defs", {})))
    after = dict(_walk("", new, new.get("$defs", {})))
    changes: list[Change] = []
    for path in sorted(before | after):
        was, now = before.get(path), after.get(path)
        if was and now:
            changes += _compare_fields(path, was, now)
        elif now and now.parent in before:
            changes.append(Change(path, "is new" + " and required" * now.required, not now.required, True))
        elif was and was.parent in after:
            changes.append(Change(path, "was removed", True, not was.required))
    return changes


def _compare_fields(path: str, was: _Field, now: _Field) -> Iterator[Change]:
    if was.required != now.required:
        yield Change(path, f"became {'required' if now.required else 'optional'}", was.required, now.required)
    elif was.default != now.default:
        yield Change(path, f"has the default {now.default!r} instead of {was.default!r}", True, True)
    lost = [kind for kind in was.kinds if _reading(kind, now.kinds) is None]
    gained = [kind for kind in now.kinds if _reading(kind, was.kinds) is None]
    if lost and gained:
        yield Change(path, f"changed from {' or '.join(was.kinds)} to {' or '.join(now.kinds)}", False, False)
    elif lost:
        yield Change(path, f"was made narrower: it can no longer be {' or '.join(lost)}", False, True)
    elif gained:
        yield Change(path, f"was made wider: it can also be {' or '.join(gained)}", True, False)
    for kind, constraints in was.kinds.items():
        others = _reading(kind, now.kinds)
        if others is not None:
            yield from _compare_constraints(path, constraints, others)


def _reading(kind: str, kinds: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the constraints under which a field of `kinds` accepts a value of `kind`; None if it rejects the kind."""
    if kind == "integer" and kind not in kinds:
        kind = "number"
    return kinds.get(kind, kinds.get("anything"))


def _compare_constraints(path: str, was: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    for key in sorted(was | now):
        before, after = was.get(key), now.get(key)
        if before == after:
            continue
        if key == "enum":
            yield _compare_values(path, before, after)
            continue
        # A missing constraint allows all values.
        narrower, wider = after is not None, before is not None
        if after is not None and before is not None and key in _LOWER_LIMITS | _UPPER_LIMITS:
            narrower = (after > before) == (key in _LOWER_LIMITS)
            wider = not narrower
        how = "narrower" if narrower else "wider"
        yield Change(path, f"was made {how}: {key} {before!r} became {after!r}", not narrower, not wider)


def _compare_values(path: str, before: frozenset[Any] | None, after: frozenset[Any] | None) -> Change:
    """Return the change from the allowed values `before` to `after`; None allows all values."""
    if after is None:
        return Change(path, "was made wider: it can be any value", True, False)
    if before is None:
        return Change(path, f"was made narrower: it can only be {_list(after)}", False, True)
    lost, gained = before - after, after - before
    said = [f"no longer allows {_list(lost)}"] * bool(lost) + [f"now allows {_list(gained)}"] * bool(gained)
    return Change(path, " and ".join(said), not lost, not gained)


def _list(values: frozenset[Any]) -> str:
    return ", ".join(sorted(map(repr, values)))


def _walk(
    path: str, node: Schema, definitions: Schema, parent: str = "", required: bool = True, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, _Field]]:
    """Yield every field with its path, for example ``lines[].sku``. `above` are the enclosing structs."""
    choices = list(_choices(node, definitions, above))
    structs = [choice["title"] for choice, _ in choices if "properties" in choice]
    kinds: dict[str, dict[str, Any]] = {}
    for choice, around in choices:
        kind, where = choice["type"], path
        constraints = {key: value for key, value in choice.items() if key not in _NO_CONSTRAINTS}
        if "enum" in constraints:
            constraints["enum"] = frozenset(choice["enum"])
        if kind == "array" and "prefixItems" in choice:
            kind = "tuple"
        elif kind == "object" and "properties" not in choice:
            kind = "map"
        elif kind == "object" and len(structs) > 1:
            constraints["enum"] = frozenset(structs)
            where = f"{path}<{choice['title']}>"
        kinds[kind] = constraints
        for name, child, needed in _children(choice, kind):
            yield from _walk((where + name).removeprefix("."), child, definitions, path, needed, around)
    yield path, _Field(parent, required, kinds, node.get("default"))


def _choices(node: Schema, definitions: Schema, above: tuple[str, ...]) -> Iterator[tuple[Schema, tuple[str, ...]]]:
    """Yield the kinds of values that `node` allows, each as a schema with one type, and the enclosing structs."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if name in above:
            yield {"type": "object", "title": name, "properties": {}}, above
        else:
            yield from _choices(definitions[name], definitions, (*above, name))
    elif "anyOf" in node:
        for choice in node["anyOf"]:
            yield from _choices(choice, definitions, above)
    elif "type" in node:
        yield node, above
    elif "enum" in node:
        for kind in dict.fromkeys(_KINDS[type(value)] for value in node["enum"]):
            yield {"type": kind, "enum": [value for value in node["enum"] if _KINDS[type(value)] == kind]}, above
    else:
        yield {"type": "anything"}, above


def _children(choice: Schema, kind: str) -> Iterator[tuple[str, Schema, bool]]:
    """Yield the fields inside a value: the end of the path, the schema, and whether the field is required."""
    for name, child in choice.get("properties", {}).items():
        yield f".{name}", child, name in choice.get("required", ())
    if kind == "map":
        yield ".*", choice.get("additionalProperties", {}), False
    if kind == "array":
        yield "[]", choice.get("items", {}), False
    for index, child in enumerate(choice.get("prefixItems", ())):
        yield f"[{index}]", child, index < choice["minItems"]

"""The schema files: one JSON Schema for each version of each event. An existing file never changes.

A list of SHA-256 sums reveals edited files. The list only grows, so a reviewer only has to check it for removed lines.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from relay.publisher.event import Event, unchanged
from relay.publisher.topics import known_events
from relay.schemas.compatibility import Change, compare

SUMS = "SHA256SUMS"
_STAMP = ["event_id", "occurred_at"]


class UnableToDescribeEvent(TypeError):
    """No correct JSON Schema exists for this event class; the message gives the reason."""


def make_schema(cls: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the current version of `cls`.

    :raises UnableToDescribeEvent: a struct refuses unknown fields, so that no field could be added later; or a time has
        no zone, so that its schema would equal the schema of a string.
    """
    for field in inspect.type_info(cls).fields:  # type: ignore[attr-defined]
        if _has_naive_time(field.type):
            what = f"{cls.__name__}.{field.name} is a time without a zone"
            raise UnableToDescribeEvent(f"{what}: annotate it with Meta(tz=True)")
    (reference,), definitions = msgspec.json.schema_components([cls], ref_template="#/$defs/{name}")
    body = definitions.pop(reference["$ref"].removeprefix("#/$defs/"))
    for name, definition in [(cls.__name__, body), *definitions.items()]:
        if definition.get("additionalProperties") is False:
            what = f"{name} has forbid_unknown_fields"
            raise UnableToDescribeEvent(f"{what}: an event's readers ignore fields that they do not know")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:event:{cls.type_name()}",
        **body,
        # The class has defaults for these fields, but every received event must contain them.
        "required": [*_STAMP, *body.get("required", [])],
    }
    return schema | ({"$defs": definitions} if definitions else {})


def _has_naive_time(part: Any, above: tuple[Any, ...] = ()) -> bool:
    if isinstance(part, inspect.DateTimeType | inspect.TimeType):
        return not part.tz
    if isinstance(part, inspect.StructType):
        if part.cls in above:
            return False
        above += (part.cls,)
    if isinstance(part, inspect.Type | inspect.Field):
        part = tuple(msgspec.structs.asdict(part).values())
    return isinstance(part, tuple) and any(_has_naive_time(inside, above) for inside in part)


class SchemaFolder:
    """The folder with the schema files, and the event classes for comparison."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._classes = {cls.__name__: cls for cls in known_events().values()}
        self._files = {file.stem: file for file in sorted(path.glob("*.json"))}
        sums = path / SUMS
        lines = sums.read_text("utf-8").splitlines() if sums.exists() else []
        # If a file has two lines, the first one counts, because lines are only appended.
        self._sums = {Path(name).stem: value for value, name in map(str.split, reversed(lines))}

    def write_missing(self) -> list[str]:
        """Write the schemas of current versions without a file, append their sums, and return their types."""
        self.path.mkdir(parents=True, exist_ok=True)
        written = self._files.keys() | self._sums.keys()
        missing = {cls.type_name(): cls for cls in self._classes.values() if cls.type_name() not in written}
        for event_type, cls in sorted(missing.items()):
            file = self.path / f"{event_type}.json"
            file.write_text(json.dumps(make_schema(cls), indent=2, ensure_ascii=False) + "\n", "utf-8")
            with (self.path / SUMS).open("a", encoding="utf-8") as sums:
                sums.write(f"{_sum(file)}  {file.name}\n")
        return sorted(missing)

    def find_faults(self) -> list[str]:
        """Return all faults that forbid a release, as sentences."""
        faults = [f"{name}.json is missing, but listed in {SUMS}" for name in self._sums if name not in self._files]
        for name, file in self._files.items():
            if name not in self._sums:
                faults.append(f"{file.name} is not listed in {SUMS}: only event_schemas --write writes these files")
            elif self._sums[name] != _sum(file):
                faults.append(
                    f"{file.name} was edited{self._describe_edit(name)}: restore it; a change needs a new version"
                )
            elif name not in known_events():
                faults.append(f"{name} could no longer be read: {self._describe_missing_reader(name)}")
        for cls in self._classes.values():
            faults += self._find_faults_of(cls)
        for (old, new), changes in self.compare_versions().items():
            cls = self._classes[_name(old)]
            if old in known_events() and cls.upcasters[_version(old)] is unchanged:
                harm = (change for change in changes if not change.new_reads_old)
                faults += [
                    f"{old} can't be read unchanged as {new}, since {change}: write an upcaster" for change in harm
                ]
        return faults

    def compare_versions(self) -> dict[tuple[str, str], list[Change]]:
        """Return the changes from each version to the next, by the pair of types."""
        return {
            (cls.type_name(version), cls.type_name(version + 1)): self._compare_to_next(cls, version)
            for cls in self._classes.values()
            for version in range(1, cls.version)
        }

    def _compare_to_next(self, cls: type[Event], version: int) -> list[Change]:
        old, new = self._read(cls, version), self._read(cls, version + 1)
        return compare(old, new) if old and new else []

    def _find_faults_of(self, cls: type[Event]) -> Iterator[str]:
        name = cls.type_name()
        for version in range(1, cls.version):
            if cls.type_name(version) not in self._files:
                yield f"{name} can't be published: there has never been a {cls.type_name(version)}"
        if name not in self._files and name not in self._sums:
            yield f"{name} has no file: run manage.py event_schemas --write"
        elif name in self._files and self._sums.get(name) == _sum(self._files[name]):
            for change in compare(self._read(cls, cls.version), make_schema(cls)):
                yield f"{name} is published, but {change}: make it version {cls.version + 1}"

    def _describe_edit(self, name: str) -> str:
        """Return the differences of a file from its class as a text, or "" if it is not of the current version."""
        cls = known_events().get(name)
        if cls is None or cls.type_name() != name:
            return ""
        edited = self._read(cls, cls.version)
        return "".join(f", {change}" for change in compare(make_schema(cls), edited)) if edited else ""

    def _describe_missing_reader(self, name: str) -> str:
        cls, version = self._classes.get(_name(name)), _version(name)
        if cls is None:
            return "RELAY['EVENTS'] has no event class with this name"
        if version > cls.version:
            return f"its class is only version {cls.version}"
        if version in cls.upcasters:
            return f"the upcasters do not lead from {version} to {cls.version}"
        harm = [str(change) for change in self._compare_to_next(cls, version) if not change.new_reads_old]
        reader = f"an upcaster, since {', '.join(harm)}" if harm else "the upcaster `unchanged`"
        return f"{cls.type_name()} needs, for version {version}, {reader}"

    def _read(self, cls: type[Event], version: int) -> dict[str, Any]:
        """Return the schema of `version` from its file or, for the current one, from the class. {}: unreadable."""
        file = self._files.get(cls.type_name(version))
        if file is not None:
            try:
                return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]
            except ValueError:
                return {}
        return make_schema(cls) if version == cls.version else {}


def _name(event_type: str) -> str:
    return event_type.rpartition(".v")[0]


def _version(event_type: str) -> int:
    return int(event_type.rpartition(".v")[2])


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()

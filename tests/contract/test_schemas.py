"""The committed schemas match the event classes, and forbidden changes are refused with the reason."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import msgspec
import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from orders.checkout.statement import make_number
from relay import Event, Upcaster, unchanged
from relay.publisher.topics import known_events
from relay.schemas.files import SchemaFolder, UnableToDescribeEvent, make_schema
from tests.contract.test_events import GOLDEN, ORDER, TYPES, read_golden

EVENTS = Path(__file__).parents[2] / "docs" / "events"


def read_schema(event_type: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((EVENTS / f"{event_type}.json").read_text("utf-8"))
    return schema


def test_the_committed_files_fit_the_event_classes() -> None:
    call_command("event_schemas", "--check")


@pytest.mark.parametrize("event_type", sorted(path.stem for path in GOLDEN.iterdir()))
def test_every_golden_is_valid_under_its_schema(event_type: str) -> None:
    schema = read_schema(event_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    golden = read_golden(event_type)
    validator.validate(golden)
    for field in golden:
        without = {name: value for name, value in golden.items() if name != field}
        with pytest.raises(jsonschema.ValidationError, match=f"'{field}' is a required property"):
            validator.validate(without)


@pytest.mark.parametrize("event_type", TYPES)
def test_every_schema_says_what_it_is_about(event_type: str) -> None:
    schema = read_schema(event_type)
    assert schema["$id"] == f"urn:event:{event_type}"
    for part in [schema, *schema.get("$defs", {}).values()]:
        assert part["title"] and part["description"]
        for name, field in part["properties"].items():
            assert field.get("description"), f"{event_type}: {name} has no description"


def test_the_documented_order_number_has_the_form_of_a_real_one() -> None:
    number = TYPES["OrderPlaced.v4"].__annotations__["number"].__metadata__[0].description
    (example,) = re.findall(r"for example (\S+)\.", number)
    for shown in [make_number(), example, ORDER["number"]]:
        assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{10}", shown), shown
    numbers = {
        file.stem: schema["properties"]["number"]["description"]
        for file in EVENTS.glob("*.json")
        if "number" in (schema := read_schema(file.stem))["properties"]
    }
    assert len(numbers) == 8 and set(numbers.values()) == {number}


class Opened(msgspec.Struct):
    at: datetime
    earlier: "list[Opened]"


def letter(version: int = 1, upcasters: dict[int, Upcaster] | None = None, **fields: Any) -> type[Event]:
    """Return an event class LetterSent with these fields, as it could be in the code at some time."""
    cls: Any = msgspec.defstruct(
        "LetterSent",
        [(name, *kind) if isinstance(kind, tuple) else (name, kind) for name, kind in fields.items()],
        bases=(Event,),
        namespace={"topic": "test.letters", "version": version, "upcasters": upcasters or {}},
        kw_only=True,
        frozen=True,
    )
    event_class: type[Event] = cls
    return event_class


class Releases:
    """A folder of schemas, and the event classes that are in the code at the time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch

    def write(self, cls: type[Event]) -> None:
        self._use(cls)
        SchemaFolder(self.folder).write_missing()

    def check(self, *classes: type[Event]) -> list[str]:
        self._use(*classes)
        return SchemaFolder(self.folder).find_faults()

    def _use(self, *classes: type[Event]) -> None:
        events = {cls.type_name(version): cls for cls in classes for version in cls.readable_versions()}
        self._patch.setattr("relay.schemas.files.known_events", lambda: events)

    def edit(self, event_type: str, change: Callable[[str], str]) -> None:
        path = self.folder / f"{event_type}.json"
        path.write_text(change(path.read_text()))


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    return Releases(tmp_path / "events", monkeypatch)


def test_a_class_without_its_file_is_refused(releases: Releases) -> None:
    assert releases.check(letter(to=str)) == [
        "LetterSent.v1 has no file: run manage.py event_schemas --write",
    ]


def test_a_written_schema_is_accepted_and_never_overwritten(releases: Releases) -> None:
    releases.write(letter(to=str))
    before = {path: path.read_bytes() for path in releases.folder.iterdir()}
    releases.write(letter(to=int))
    assert {path: path.read_bytes() for path in releases.folder.iterdir()} == before
    assert releases.check(letter(to=str)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (letter(weight=int), "`to` was removed"),
        (letter(to=int, weight=int), "`to` changed from string to integer"),
        (letter(to=str, weight=int, stamp=str), "`stamp` is new and required"),
        (letter(to=str, weight=int, stamp=(str, "")), "`stamp` is new"),
        (letter(to=str, weight=(int, 0)), "`weight` became optional"),
    ],
)
def test_a_change_without_a_new_version_is_refused_and_names_the_field(
    releases: Releases, changed: type[Event], said: str
) -> None:
    releases.write(letter(to=str, weight=int))
    assert f"LetterSent.v1 is published, but {said}: make it version 2" in releases.check(changed)


def test_a_new_description_is_no_change(releases: Releases) -> None:
    releases.write(letter(to=Annotated[str, msgspec.Meta(description="Whom it is for.")]))
    assert releases.check(letter(to=Annotated[str, msgspec.Meta(description="Who gets it.")])) == []


def test_an_edited_file_is_refused_and_names_the_field(releases: Releases) -> None:
    releases.write(letter(to=str))
    releases.edit("LetterSent.v1", lambda text: text.replace('"type": "string"\n', '"type": "integer"\n'))
    (fault,) = releases.check(letter(to=str))
    assert fault.startswith("LetterSent.v1.json was edited, `to` changed from string to integer: restore it")


def test_an_edited_or_missing_old_version_is_refused(releases: Releases) -> None:
    first, second = letter(to=str), letter(2, {1: unchanged}, to=str, stamp=(str, ""))
    releases.write(first)
    releases.write(second)
    assert releases.check(second) == []
    releases.edit("LetterSent.v1", lambda text: text + " ")
    assert releases.check(second) == ["LetterSent.v1.json was edited: restore it; a change needs a new version"]
    (releases.folder / "LetterSent.v1.json").unlink()
    assert "LetterSent.v1.json is missing, but listed in SHA256SUMS" in releases.check(second)


def test_a_deleted_or_damaged_schema_is_not_written_again(releases: Releases) -> None:
    releases.write(letter(to=str))
    releases.edit("LetterSent.v1", lambda text: "{" + text)
    assert releases.check(letter(to=str)) == [
        "LetterSent.v1.json was edited: restore it; a change needs a new version",
    ]
    (releases.folder / "LetterSent.v1.json").unlink()
    releases.write(letter(to=int))
    assert releases.check(letter(to=int)) == ["LetterSent.v1.json is missing, but listed in SHA256SUMS"]


def test_a_file_that_was_not_written_by_the_command_is_refused(releases: Releases) -> None:
    releases.write(letter(to=str))
    (releases.folder / "LetterSent.v2.json").write_text("{}")
    (fault,) = releases.check(letter(to=str))
    assert fault.startswith("LetterSent.v2.json is not listed in SHA256SUMS")


def test_a_new_version_must_be_able_to_read_the_former(releases: Releases) -> None:
    releases.write(letter(to=str))
    widened = letter(2, to=str, stamp=(str, ""))
    releases.write(widened)
    assert releases.check(widened) == [
        "LetterSent.v1 could no longer be read: LetterSent.v2 needs, for version 1, the upcaster `unchanged`"
    ]
    assert releases.check(letter(2, {1: unchanged}, to=str, stamp=(str, ""))) == []


def test_an_incompatible_version_needs_an_upcaster_that_does_something(releases: Releases) -> None:
    releases.write(letter(to=str))
    fields: dict[str, Any] = {"to": str, "stamp": str}
    releases.write(letter(2, **fields))
    (fault,) = releases.check(letter(2, **fields))
    assert fault.endswith("needs, for version 1, an upcaster, since `stamp` is new and required")
    (fault,) = releases.check(letter(2, {1: unchanged}, **fields))
    assert fault == (
        "LetterSent.v1 can't be read unchanged as LetterSent.v2, since `stamp` is new and required: write an upcaster"
    )
    assert releases.check(letter(2, {1: lambda value: {**value, "stamp": "none"}}, **fields)) == []


def test_versions_have_no_gaps_and_events_do_not_disappear(releases: Releases) -> None:
    releases.write(letter(to=str))
    skipping = letter(3, {1: unchanged, 2: unchanged}, to=str)
    releases.write(skipping)
    assert releases.check(skipping) == ["LetterSent.v3 can't be published: there has never been a LetterSent.v2"]
    assert [re.sub(":.*", "", fault) for fault in releases.check()] == [
        "LetterSent.v1 could no longer be read",
        "LetterSent.v3 could no longer be read",
    ]


def test_an_event_that_could_never_get_a_new_field_is_refused() -> None:
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        sku: str

    with pytest.raises(UnableToDescribeEvent, match="Closed has forbid_unknown_fields"):
        make_schema(letter(lines=list[Closed]))


def test_a_time_without_a_zone_is_refused_at_any_depth() -> None:
    for kind in (datetime, datetime | None, list[Opened], Annotated[datetime, msgspec.Meta(description="When.")]):
        with pytest.raises(UnableToDescribeEvent, match=r"LetterSent\.read is a time without a zone"):
            make_schema(letter(read=kind))
    zoned = Annotated[datetime, msgspec.Meta(tz=True)]
    assert make_schema(letter(read=zoned))["properties"]["read"]["format"] == "date-time"


def test_the_command_reports_all_reasons(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RELAY = {"EVENTS": ["tests.contract.parcels"], "CONTRACT_FOLDER": str(tmp_path)}
    known_events.cache_clear()
    try:
        with pytest.raises(CommandError, match=r"CanarySent\.v1 has no file(.|\n)*asyncapi\.json is not up to date"):
            call_command("event_schemas", "--check")
        with pytest.raises(CommandError, match=r"there has never been a ParcelPosted\.v1"):
            call_command("event_schemas", "--write")
    finally:
        known_events.cache_clear()
    assert (tmp_path / "events" / "ParcelPosted.v3.json").exists()

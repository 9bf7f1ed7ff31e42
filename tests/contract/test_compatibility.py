"""Detection of compatible and incompatible changes of events, with examples and with Hypothesis."""

import itertools
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from relay.schemas.compatibility import Change, compare


class Line(msgspec.Struct):
    sku: str


class LineWithQuantity(msgspec.Struct):
    sku: str
    quantity: int


class LineWithNote(msgspec.Struct):
    sku: str
    note: str = ""


class Card(msgspec.Struct, tag=True):
    number: int


class Transfer(msgspec.Struct, tag=True):
    account: int


class Tree(msgspec.Struct):
    branches: list["Tree"] = []


#: The field is missing.
NONE = "none"
REQUIRED: Any = msgspec.NODEFAULT


def make(kind: Any, default: Any = REQUIRED) -> type[msgspec.Struct]:
    fields = [] if kind == NONE else [("total", kind, msgspec.field(default=default))]
    return msgspec.defstruct("Sold", fields, kw_only=True)


def compare_kinds(old: Any, new: Any, *, was: Any = REQUIRED, now: Any = REQUIRED) -> list[Change]:
    return compare(schema_of(make(old, was)), schema_of(make(new, now)))


def schema_of(cls: type[msgspec.Struct]) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components([cls], ref_template="#/$defs/{name}")
    return {**definitions.pop(cls.__name__), "$defs": definitions}


HARMFUL_FOR_THE_NEW = [
    (NONE, int, "`total` is new and required"),
    (int, str, "`total` changed from integer to string"),
    (int | None, int, "`total` was made narrower: it can no longer be null"),
    (float, int, "`total` was made narrower: it can no longer be number"),
    (int, Annotated[int, Meta(ge=1)], "`total` was made narrower: minimum None became 1"),
    (Annotated[str, Meta(max_length=9)], Annotated[str, Meta(max_length=3)], "narrower: maxLength 9 became 3"),
    (str, UUID, "`total` was made narrower: format None became 'uuid'"),
    (str, Literal["a"], "`total` was made narrower: it can only be 'a'"),
    (Literal["a", "b"], Literal["a"], "`total` no longer allows 'b'"),
    (list[Line], list[LineWithQuantity], "`total[].quantity` is new and required"),
    (list[Line] | None, list[LineWithQuantity] | None, "`total[].quantity` is new and required"),
    (dict[str, int], dict[str, str], "`total.*` changed from integer to string"),
    (Line, dict[str, str], "`total` changed from object to map"),
    (list[int], tuple[int, int], "`total` changed from array to tuple"),
    (Card | Transfer, Card, "`total.number` is new and required"),
    (Any, int, "`total` was made narrower: it can no longer be anything"),
]
HARMLESS_FOR_THE_NEW = [
    (int, NONE, "`total` was removed"),
    (int, int | None, "`total` was made wider: it can also be null"),
    (int, float, "`total` was made wider: it can also be number"),
    (Annotated[int, Meta(ge=2)], Annotated[int, Meta(ge=1)], "`total` was made wider: minimum 2 became 1"),
    (UUID, str, "`total` was made wider: format 'uuid' became None"),
    (Literal["a"], Literal["a", "b"], "`total` now allows 'b'"),
    (Literal["a"], str, "`total` was made wider: it can be any value"),
    (list[LineWithQuantity], list[Line], "`total[].quantity` was removed"),
    (dict[str, int], Any, "`total` was made wider: it can also be anything"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), HARMFUL_FOR_THE_NEW)
def test_changes_that_the_new_class_can_not_read_are_reported(old: Any, new: Any, sentence: str) -> None:
    assert any(sentence in str(change) for change in compare_kinds(old, new) if not change.new_reads_old)


@pytest.mark.parametrize(("old", "new", "sentence"), HARMLESS_FOR_THE_NEW)
def test_changes_that_only_an_old_reader_can_not_read_are_distinguished(old: Any, new: Any, sentence: str) -> None:
    changes = compare_kinds(old, new)
    assert any(sentence in str(change) for change in changes)
    assert all(change.new_reads_old for change in changes)
    assert not all(change.old_reads_new for change in changes)


def test_optional_fields_can_be_added_and_removed() -> None:
    for changes, sentence in [
        (compare_kinds(NONE, int, now=0), "`total` is new"),
        (compare_kinds(int, NONE, was=0), "`total` was removed"),
        (compare_kinds(list[Line], list[LineWithNote]), "`total[].note` is new"),
        (compare_kinds(int, int, was=0, now=1), "`total` has the default 1 instead of 0"),
    ]:
        assert [str(change) for change in changes] == [sentence]
        assert all(change.new_reads_old and change.old_reads_new for change in changes)


def test_a_field_that_becomes_required_or_optional_harms_one_side() -> None:
    (required,) = compare_kinds(int, int, was=msgspec.UNSET)
    assert required == Change("total", "became required", False, True)
    (optional,) = compare_kinds(int, int, now=msgspec.UNSET)
    assert optional == Change("total", "became optional", True, False)


@pytest.mark.parametrize("kind", [Tree, list[Tree] | None, Card | Transfer, Any, dict[str, Line], tuple[int, str]])
def test_a_description_is_no_difference(kind: Any) -> None:
    assert compare_kinds(kind, Annotated[kind, Meta(description="new words")]) == []


KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-9, 9)),
    (float, st.floats(-9, 9) | st.integers(-9, 9)),
    (str, st.text(max_size=4)),
    (bool, st.booleans()),
    (UUID, st.uuids().map(str)),
    (Any, st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.lists(st.booleans(), max_size=2)),
    (int | None, st.none() | st.integers(-9, 9)),
    (Annotated[int, Meta(ge=0)], st.integers(0, 9)),
    (Annotated[int, Meta(ge=5)], st.integers(5, 9)),
    (Annotated[int, Meta(ge=5, le=9)], st.integers(5, 9)),
    (Annotated[str, Meta(max_length=2)], st.text(max_size=2)),
    (Literal["a", "b"], st.sampled_from("ab")),
    (Literal["a"], st.just("a")),
    (list[int], st.lists(st.integers(-9, 9), max_size=3)),
    (list[int | str], st.lists(st.integers(-9, 9) | st.text(max_size=3), max_size=3)),
    (tuple[int, str], st.tuples(st.integers(-9, 9), st.text(max_size=3))),
    (dict[str, int], st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=2)),
    (Line, st.fixed_dictionaries({"sku": st.text(max_size=3)})),
    (LineWithQuantity, st.fixed_dictionaries({"sku": st.text(max_size=3), "quantity": st.integers(0, 9)})),
    (Card, st.builds(lambda n: {"type": "Card", "number": n}, st.integers(0, 9))),
    (
        Card | Transfer,
        st.sampled_from([{"type": "Card", "number": 1}, {"type": "Transfer", "account": 2}]),
    ),
]


Class = type[msgspec.Struct]
Values = st.SearchStrategy[dict[str, Any]]
#: Classes with one field or none, and a strategy for the JSON objects that they write.
WRITERS: list[tuple[Class, Values]] = [(make(NONE), st.just({}))]
for kind, values in KINDS:
    present = st.fixed_dictionaries({"total": values})
    WRITERS += [(make(kind), present), (make(kind, msgspec.UNSET), present | st.just({}))]
#: A strategy for written objects, and a class that `compare` calls able to read them.
READERS: list[tuple[Values, Class]] = []
for (old, old_values), (new, new_values) in itertools.combinations(WRITERS, 2):
    changes = compare(schema_of(old), schema_of(new))
    READERS += [(old_values, new)] * all(change.new_reads_old for change in changes)
    READERS += [(new_values, old)] * all(change.old_reads_new for change in changes)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(READERS))
def test_compatible_changes_can_be_read(data: st.DataObject, pair: tuple[Values, Class]) -> None:
    values, reader = pair
    assert msgspec.json.decode(msgspec.json.encode(data.draw(values)), type=reader)

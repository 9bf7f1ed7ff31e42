"""Recording of audit rows in the transaction of the change, so that both are committed or neither is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Model

from shop.audit.form_numbers import check_number
from shop.audit.models import StaffAction

#: Columns with personal data or secrets. The audit keeps rows forever, so it must not contain them.
_HIDDEN = {"payment_token", "password", "email", "first_name", "last_name", "last_login"}
NO_REASON = "no reason given"


def record_action(
    actor: str,
    action: str,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    reason: str,
    form: UUID | None = None,
) -> None:
    """Record one change. If both `before` and `after` are given, store only the columns that differ.

    `form` is the number of the form that caused the change.

    :raises FormSentTwice: the form has already changed the subject. The caller must roll the change back.
    """
    if before is not None and after is not None:
        differing = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        before = {name: before.get(name) for name in sorted(differing)}
        after = {name: after.get(name) for name in sorted(differing)}
    row = StaffAction(actor=actor, action=action, subject=subject, before=before, after=after, form=form)
    row.reason = reason.strip() or NO_REASON
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        check_number(form, subject)
        raise


@contextmanager
def audited(actor: str, action: str, row: Model, reason: str = "", form: UUID | None = None) -> Iterator[None]:
    """Lock `row`, run the block and record the changed columns, in one transaction.

    :raises FormSentTwice: the form with the number `form` has already changed the row. Nothing is changed.
    """
    rows = type(row)._base_manager.filter(pk=row.pk)
    with transaction.atomic():
        before = describe_row(rows.select_for_update().first())
        check_number(form, name_subject(row))
        yield
        record_action(actor, action, name_subject(row), before, describe_row(rows.first()), reason, form)


def name_subject(row: Model) -> str:
    """Return the audit's name of `row`, for example ``catalogue.product:MUG``."""
    return f"{row._meta.label_lower}:{row.pk}"


def describe_row(row: Model | None) -> dict[str, Any] | None:
    """Return the columns of `row` as JSON-like data without the hidden ones, or None without a row."""
    if row is None:
        return None
    described = {}
    for field in row._meta.concrete_fields:
        if field.generated or field.name in _HIDDEN or (isinstance(row, User) and field.name == "username"):
            continue
        value = field.value_from_object(row)
        described[field.name] = value if value is None or isinstance(value, bool | int | str) else str(value)
    return described


def describe_relations(row: Model) -> dict[str, Any]:
    """Return the related objects of the row's many-to-many fields, by field name."""
    return {field.name: sorted(map(str, getattr(row, field.name).all())) for field in row._meta.many_to_many}

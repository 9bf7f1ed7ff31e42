"""The book of cases. A finding opens one case, and opens it again if staff closed it while the problem lasts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from django.db.models.functions import Now

from payments.models import Case

Kind = Case.Kind
#: Kinds about something that happened once. Their cases stay open until staff close them, and then stay closed.
ONCE = (Kind.refund_declined, Kind.external_refund, Kind.disputed)


@dataclass(frozen=True)
class Finding:
    """A problem as a sentence, with the id of its payment if there is one.

    `detail` continues the sentence; it may change while the problem stays the same.
    """

    kind: Case.Kind
    payment_id: UUID | None
    text: str
    detail: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for the same finding on different days."""
        return sha256(f"{self.kind} {self.payment_id} {self.text}".encode()).hexdigest()


def open_cases(findings: Mapping[str, Finding], stored: Mapping[str, Case]) -> int:
    """Open a case for each finding that has none, and return the number of opened cases.

    Both mappings have fingerprints as keys. `stored` are the locked cases that exist already.
    """
    fresh = [
        Case(fingerprint=key, kind=f.kind, payment_id=f.payment_id, description=f.text + f.detail)
        for key, f in findings.items()
        if key not in stored
    ]
    Case.objects.bulk_create(fresh, ignore_conflicts=True)
    again = [case.pk for key, case in stored.items() if key in findings and case.closed_at and case.kind not in ONCE]
    Case.objects.filter(pk__in=again).update(closed_at=None, closed_by="", note="")
    for key, case in stored.items():
        if key in findings and case.description != (description := findings[key].text + findings[key].detail):
            Case.objects.filter(pk=case.pk).update(description=description)
    Case.objects.filter(fingerprint__in=findings).update(last_seen_at=Now())
    return len(fresh) + len(again)


def report(findings: list[Finding]) -> None:
    """Open the cases of `findings` at once, in the caller's transaction."""
    by_fingerprint = {finding.fingerprint: finding for finding in findings}
    known = Case.objects.select_for_update().filter(fingerprint__in=by_fingerprint).order_by("pk")
    open_cases(by_fingerprint, {case.fingerprint: case for case in known})


def describe_failure(payment_id: UUID, order_id: UUID) -> str:
    """Return the sentence about a payment whose capture failed."""
    return f"payment {payment_id} of order {order_id} can't be captured: capture it again or cancel the order"

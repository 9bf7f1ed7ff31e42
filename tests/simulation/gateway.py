"""A payment gateway in this process that loses requests and answers on demand."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from payments.gateways.protocol import GatewayAnswer, GatewayHint, GatewayUnavailable, LedgerEntry, Outcome
from tests.simulation.model import Fate


class Books:
    """The gateway of settings.PAYMENT_GATEWAY in a simulation. `fate` decides the result of the next calls."""

    fate: Fate = "answered"
    entries: dict[str, tuple[str, GatewayAnswer]] = {}

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Authorize `amount`, or decline it for the token of a bad card."""
        declined = token == "tok_declined"
        reference = "" if declined else f"auth {key}"
        return self._book(key, "authorize", reference, amount, currency, declined=declined)

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Capture an authorized amount."""
        return self._book(key, "capture", reference, amount, "EUR")

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Void an authorization."""
        held = next(answer for _, answer in self.entries.values() if answer.reference == reference)
        return self._book(key, "void", reference, held.amount, "EUR")

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Refund a captured amount."""
        return self._book(key, "refund", reference, amount, "EUR")

    def lookup(
        self, key: str, reference: str, *, sent_at: datetime | None = None, cursor: str = ""
    ) -> GatewayAnswer | None:
        """Return the answer for `key`, or None. Approve a pending answer, unless `fate` is pending."""
        if key not in self.entries:
            return None
        operation, answer = self.entries[key]
        if answer.outcome == "pending" and self.fate != "pending":
            answer = msgspec.structs.replace(answer, outcome="approved")
            self.entries[key] = (operation, answer)
        return answer

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> GatewayHint:
        """Fail: this gateway sends no webhooks."""
        raise NotImplementedError

    def read_ledger(self, since: datetime | None) -> Iterator[LedgerEntry]:
        """Yield all entries of the ledger."""
        for key, (operation, answer) in self.entries.items():
            yield LedgerEntry(
                idempotency_key=key,
                operation=operation,
                reference=answer.reference,
                amount=answer.amount,
                currency=answer.currency,
                outcome=answer.outcome,
                reason=answer.reason,
                created_at=datetime.now(UTC),
            )

    def _book(
        self, key: str, operation: str, reference: str, amount: int, currency: str, *, declined: bool = False
    ) -> GatewayAnswer:
        if self.fate == "lost_before":
            raise GatewayUnavailable("the request was lost")
        outcome: Outcome = "declined" if declined else "approved"
        if operation == "refund" and self.fate == "pending":
            outcome = "pending"
        answer = GatewayAnswer(outcome=outcome, reference=reference, amount=amount, currency=currency)
        _, booked = self.entries.setdefault(key, (operation, answer))
        if self.fate == "lost_after":
            raise GatewayUnavailable("the answer was lost")
        return booked

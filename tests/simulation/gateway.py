"""A gateway in this process, whose answers get lost when they shall."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from payments.gateways.protocol import GatewayAnswer, GatewayUnavailable, LedgerEntry, Outcome
from tests.simulation.model import Fate


class Books:
    """What settings.PAYMENT_GATEWAY names in a simulation. `fate` is that of the next calls."""

    fate: Fate = "answered"
    entries: dict[str, tuple[str, GatewayAnswer]] = {}

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold the amount, if the card is good."""
        declined = token == "tok_declined"
        reference = "" if declined else f"auth {key}"
        return self._book(key, "authorize", reference, amount, currency, declined=declined)

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Take what is held."""
        return self._book(key, "capture", reference, amount, "EUR")

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Give back what is held."""
        held = next(answer for _, answer in self.entries.values() if answer.reference == reference)
        return self._book(key, "void", reference, held.amount, "EUR")

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Give back what was taken."""
        return self._book(key, "refund", reference, amount, "EUR")

    def lookup(self, key: str, reference: str) -> GatewayAnswer | None:
        """Return what was answered under the key; what was pending may be decided now."""
        if key not in self.entries:
            return None
        operation, answer = self.entries[key]
        if answer.outcome == "pending" and self.fate != "pending":
            answer = msgspec.structs.replace(answer, outcome="approved")
            self.entries[key] = (operation, answer)
        return answer

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """Refuse: this gateway sends no webhooks."""
        raise NotImplementedError

    def read_ledger(self, since: datetime | None) -> Iterator[LedgerEntry]:
        """Yield every entry."""
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
            raise GatewayUnavailable("the request got lost")
        outcome: Outcome = "declined" if declined else "approved"
        if operation == "refund" and self.fate == "pending":
            outcome = "pending"
        answer = GatewayAnswer(outcome=outcome, reference=reference, amount=amount, currency=currency)
        _, booked = self.entries.setdefault(key, (operation, answer))
        if self.fate == "lost_after":
            raise GatewayUnavailable("the answer got lost")
        return booked

"""The client of Stripe: an authorization is a PaymentIntent with manual capture, and `reference` is its id.

The shop sets the timeouts of Stripe's library and switches off its retries: the shop looks up unanswered calls later.
Stripe has no lookup by idempotency key, so every object carries its key in its metadata.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import stripe
from django.conf import settings

from payments.gateways.protocol import (
    BadHint,
    GatewayAnswer,
    GatewayHint,
    LedgerEntry,
    MalformedAnswer,
    strip_attempt,
)
from payments.gateways.signatures import TOLERANCE_SECONDS
from payments.gateways.stripe_answers import (
    read_authorization,
    read_capture,
    read_dispute_entry,
    read_intent_entries,
    read_key,
    read_refund,
    read_refund_entry,
    read_void,
)
from payments.gateways.stripe_requests import ask, begin_call, read_pages, retrieve, search

#: A lookup reads the intents from this long before the payment until this long after the last request, because the
#: clocks of Stripe and the shop may differ.
CLOCKS_DIFFER = timedelta(minutes=2)


class StripeGateway:
    """Stripe at settings.STRIPE_URL, called with settings.STRIPE_KEY. A payment token is the id of a PaymentMethod.

    Every call raises GatewayUnavailable if the outcome at Stripe is unknown, and returns within CALL_SECONDS.
    """

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount`. A card that requires confirmation by its owner is declined: the customer is not present."""
        intent: Any = {
            **{"amount": amount, "currency": currency.lower(), "payment_method": token, "metadata": {"key": key}},
            **{"payment_method_types": ["card"], "capture_method": "manual", "confirm": True},
        }
        result = ask(lambda client, options: client.v1.payment_intents.create(intent, options), key, until=begin_call())
        if isinstance(result, str):
            return GatewayAnswer(outcome="declined", reference="", amount=amount, currency=currency, reason=result)
        return read_authorization(result)

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Capture `amount` of the authorization."""
        wanted: Any = {"amount_to_capture": amount}
        return end_intent(
            lambda client, options: client.v1.payment_intents.capture(reference, wanted, options),
            *(key, reference, amount, read_capture),
        )

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Release the whole authorization."""
        return end_intent(
            lambda client, options: client.v1.payment_intents.cancel(reference, {}, options),
            *(key, reference, None, read_void),
        )

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Refund `amount` of the captured money."""
        until = begin_call()
        wanted: Any = {"payment_intent": reference, "amount": amount, "metadata": {"key": key}}
        result = ask(lambda client, options: client.v1.refunds.create(wanted, options), key, until=until)
        return refuse(result, reference, amount, until) if isinstance(result, str) else read_refund(result, reference)

    def lookup(
        self, key: str, reference: str = "", *, sent_at: datetime | None = None, cursor: str = ""
    ) -> GatewayAnswer | None:
        """Return the answer to the call with `key` or with an earlier key of its operation, or None.

        `reference` is required unless the call was an authorization.

        :raises SearchUnfinished: the list is too long for one call.
        """
        until, name = begin_call(), strip_attempt(key)

        def fits(result: Any) -> bool:
            return strip_attempt(read_key(result)) == name

        operation = name.split(":")[1]
        if operation == "authorize":
            window = {"created": find_window(key, sent_at)}
            found = search(lambda client, page: client.v1.payment_intents.list(page), fits, window, cursor, until)
            return None if found is None else read_authorization(found)
        if operation == "refund":
            ours = {"payment_intent": reference}
            found = search(lambda client, page: client.v1.refunds.list(page), fits, ours, cursor, until)
            return None if found is None else read_refund(found, reference)
        intent = retrieve(reference, until)
        return read_capture(intent) if operation == "capture" else read_void(intent)

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> GatewayHint:
        """Return the content of a webhook. Its idempotency key is in the metadata of its object.

        :raises BadHint: the webhook is too old, malformed, or not signed by Stripe.
        """
        header, secret = headers.get("Stripe-Signature", ""), settings.STRIPE_WEBHOOK_SECRET
        try:
            event = stripe.Webhook.construct_event(body, header, secret, TOLERANCE_SECONDS)
            about, key = event.data.object, read_key(event.data.object)
            kind = str(getattr(about, "object", ""))
            refunded = getattr(about, "amount_refunded", None) if kind == "charge" else None
            is_external = kind == "dispute" or (kind == "refund" and not key)
            return GatewayHint(id=str(event.id), key=key, is_external=is_external, refunded=refunded)
        except (stripe.SignatureVerificationError, ValueError, AttributeError) as error:
            raise BadHint(str(error)) from error

    def read_ledger(self, since: datetime | None = None) -> Iterator[LedgerEntry]:
        """Yield the entries of the shop's intents and of all refunds and disputes.

        With `since` only objects created from then on are read.
        """
        for intent in read_pages(lambda client, page: client.v1.payment_intents.list(page), since):
            if key := read_key(intent):
                yield from read_intent_entries(intent, key)
        for refund in read_pages(lambda client, page: client.v1.refunds.list(page), since):
            yield read_refund_entry(refund)
        for dispute in read_pages(lambda client, page: client.v1.disputes.list(page), since):
            yield read_dispute_entry(dispute)


def end_intent(
    call: Callable[[stripe.StripeClient, Any], Any],
    key: str,
    reference: str,
    amount: int | None,
    read: Callable[[Any], GatewayAnswer | None],
) -> GatewayAnswer:
    """Capture or void an intent by `call`, and return the answer that `read` finds in the intent.

    :raises MalformedAnswer: Stripe accepted the call, but the intent is unchanged or has an unknown status.
    """
    until = begin_call()
    result = ask(call, key, until=until)
    if isinstance(result, str):
        return refuse(result, reference, amount, until)
    found = read(result)
    if found is None:
        raise MalformedAnswer(f"Stripe's intent {reference} is still {result.status} after the call with key {key}")
    return found


def refuse(reason: str, reference: str, amount: int | None, until: float) -> GatewayAnswer:
    """Return a declined answer with the currency and, if `amount` is None, the amount of the intent `reference`."""
    intent = retrieve(reference, until)
    asked = intent.amount if amount is None else amount
    return GatewayAnswer(
        outcome="declined", reference=reference, amount=asked, currency=intent.currency.upper(), reason=reason
    )


def find_window(key: str, sent_at: datetime | None) -> dict[str, int]:
    """Return the times (seconds since 1970) between which Stripe can have created the intent with `key`.

    The payment's id contains the time of its creation. Without `sent_at` the window has no end.
    """
    moment = datetime.fromtimestamp((UUID(key.partition(":")[0]).int >> 80) / 1000, UTC)
    window = {"gte": int((moment - CLOCKS_DIFFER).timestamp())}
    return {**window, "lte": int((sent_at + CLOCKS_DIFFER).timestamp())} if sent_at else window

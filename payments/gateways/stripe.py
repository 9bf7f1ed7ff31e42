"""The client of Stripe: an authorization is a PaymentIntent with manual capture, and `reference` is its id.

The shop sets the timeouts of Stripe's library and switches off its retries: the shop looks up unanswered calls later.
Stripe has no lookup by idempotency key, so every object carries its key in its metadata.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import stripe
from django.conf import settings

from payments.gateways.protocol import BadHint, GatewayAnswer, GatewayUnavailable, LedgerEntry
from payments.gateways.signatures import TOLERANCE_SECONDS

#: Objects per page of a list.
PAGE = 100
#: A search by time begins this long before the payment, because the clocks of Stripe and the shop may differ.
CLOCKS_DIFFER = timedelta(minutes=10)
#: Stripe keeps idempotency keys for at least 24 hours. Within this time a repeated call is safe.
KEYS_KEPT = timedelta(hours=23)
#: Maximum number of intents that a search reads while Stripe still knows the key.
MOST_LISTED = 1000


class StripeGateway:
    """Stripe at settings.STRIPE_URL, called with settings.STRIPE_KEY. A payment token is the id of a PaymentMethod.

    Every call raises GatewayUnavailable if the outcome at Stripe is unknown.
    """

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount`. A card that requires confirmation by its owner is declined: the customer is not present."""
        intent: Any = {
            **{"amount": amount, "currency": currency.lower(), "payment_method": token, "metadata": {"key": key}},
            **{"payment_method_types": ["card"], "capture_method": "manual", "confirm": True},
        }
        result = ask(lambda client, options: client.v1.payment_intents.create(intent, options), key)
        if isinstance(result, str):
            return decline(result, "", amount, currency)
        return read_authorization(result)

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Capture `amount` of the authorization."""
        wanted: Any = {"amount_to_capture": amount}
        result = ask(lambda client, options: client.v1.payment_intents.capture(reference, wanted, options), key)
        return self._answer(result, reference, amount)

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Release the whole authorization."""
        result = ask(lambda client, options: client.v1.payment_intents.cancel(reference, {}, options), key)
        return self._answer(result, reference, None)

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Refund `amount` of the captured money."""
        wanted: Any = {"payment_intent": reference, "amount": amount, "metadata": {"key": key}}
        result = ask(lambda client, options: client.v1.refunds.create(wanted, options), key)
        return self._answer(result, reference, amount) if isinstance(result, str) else read_refund(result, reference)

    def _answer(self, result: Any, reference: str, amount: int | None) -> GatewayAnswer:
        if isinstance(result, str):
            intent = retrieve(reference)
            return decline(result, reference, intent.amount if amount is None else amount, intent.currency)
        return approve(reference, result.amount if amount is None else read_captured(result), result.currency)

    def lookup(self, key: str, reference: str = "") -> GatewayAnswer | None:
        """Return the answer to the call with `key`, or None if Stripe has no result of the call.

        `reference` is required unless the call was an authorization.
        """
        operation = key.split(":")[1]
        if operation == "authorize":
            found = find_intent(key)
            return None if found is None else read_authorization(found)
        intent = retrieve(reference)
        if operation == "refund":
            refunds = read_pages(lambda client, page: client.v1.refunds.list(page), payment_intent=reference)
            mine = next((refund for refund in refunds if read_key(refund) == key), None)
            return None if mine is None else read_refund(mine, reference)
        if intent.status != ("succeeded" if operation == "capture" else "canceled"):
            return None
        return approve(reference, read_captured(intent) if operation == "capture" else intent.amount, intent.currency)

    def read_hint(self, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """Return a webhook's own id and the idempotency key in the metadata of its object.

        :raises BadHint: the webhook is too old, malformed, or not signed by Stripe.
        """
        header, secret = headers.get("Stripe-Signature", ""), settings.STRIPE_WEBHOOK_SECRET
        try:
            event = stripe.Webhook.construct_event(body, header, secret, TOLERANCE_SECONDS)
            return str(event.id), read_key(event.data.object)
        except (stripe.SignatureVerificationError, ValueError, AttributeError) as error:
            raise BadHint(str(error)) from error

    def read_ledger(self, since: datetime | None = None) -> Iterator[LedgerEntry]:
        """Yield the entries of the shop's intents and refunds, with `since` only of objects created from then on."""
        for intent in read_pages(lambda client, page: client.v1.payment_intents.list(page), since):
            if key := read_key(intent):
                yield from read_intent_entries(intent, key)
        for refund in read_pages(lambda client, page: client.v1.refunds.list(page), since):
            if key := read_key(refund):
                yield make_entry(key, "refund", read_refund(refund, str(refund.payment_intent)), refund.created)


@lru_cache(maxsize=8)
def open_client(key: str, url: str, connect: float, read: float) -> stripe.StripeClient:
    """Return a client with the timeouts `connect` and `read` (seconds) and without retries."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(connect, read)),
    )


def ask(call: Callable[[stripe.StripeClient, Any], Any], key: str = "") -> Any:
    """Return the object that Stripe returned, or the reason as a string if Stripe refused the call for good.

    :raises GatewayUnavailable: the outcome is unknown, or Stripe refuses the shop's key.
    """
    connect, read = settings.GATEWAY_CONNECT_SECONDS, settings.GATEWAY_READ_SECONDS
    client = open_client(settings.STRIPE_KEY, settings.STRIPE_URL, connect, read)
    try:
        return call(client, {"idempotency_key": key} if key else {})
    except stripe.CardError as error:
        return error.code or "card_declined"
    except stripe.InvalidRequestError as error:
        if error.http_status in (400, 404):
            return f"{error.code or 'refused'}: {error.user_message or error}"
        raise GatewayUnavailable(f"Stripe answered {error.http_status}: {error}") from error
    except stripe.StripeError as error:
        raise GatewayUnavailable(f"{type(error).__name__}: {error}") from error


def retrieve(reference: str) -> Any:
    """Return the PaymentIntent `reference`.

    :raises GatewayUnavailable: Stripe does not return it.
    """
    intent = ask(lambda client, options: client.v1.payment_intents.retrieve(reference, {}, options))
    if isinstance(intent, str):
        raise GatewayUnavailable(f"Stripe does not return the intent {reference!r}: {intent}")
    return intent


def read_pages(
    fetch: Callable[[stripe.StripeClient, Any], Any], since: datetime | None = None, **wanted: str
) -> Iterator[Any]:
    """Yield the objects of a list, newest first, with `since` only objects created from then on.

    :raises GatewayUnavailable: Stripe does not return a page.
    """
    after: dict[str, str] = {}
    while True:
        page = ask(lambda client, _: fetch(client, {"limit": PAGE, **wanted, **after}))  # noqa: B023 - called at once
        if isinstance(page, str):
            raise GatewayUnavailable(f"Stripe does not return a list: {page}")
        for result in page.data:
            if since and result.created < int(since.timestamp()):
                return
            yield result
        if not page.has_more or not page.data:
            return
        after = {"starting_after": page.data[-1].id}


def find_intent(key: str) -> Any:
    """Return the PaymentIntent with `key` in its metadata, or None. The search ends at the time of the payment.

    In a busy shop the list can be too long for one call. While Stripe still knows the key, the search reads only
    MOST_LISTED intents: a repeated authorization gets the same answer and holds no money twice.
    """
    moment = datetime.fromtimestamp((UUID(key.partition(":")[0]).int >> 80) / 1000, UTC)
    most = MOST_LISTED if datetime.now(UTC) - moment < KEYS_KEPT else None
    intents = read_pages(lambda client, page: client.v1.payment_intents.list(page), moment - CLOCKS_DIFFER)
    return next((intent for intent in islice(intents, most) if read_key(intent) == key), None)


def read_key(result: Any) -> str:
    """Return the idempotency key in the metadata of a Stripe object, or "" if it has none."""
    return str(getattr(getattr(result, "metadata", None), "key", ""))


def read_authorization(intent: Any) -> GatewayAnswer:
    """Return the answer of an authorization: approved, declined or pending.

    An intent that was captured or cancelled later still has an approved authorization.
    """
    if intent.status in ("requires_capture", "succeeded", "canceled"):
        return approve(intent.id, intent.amount, intent.currency)
    if intent.status in ("requires_payment_method", "requires_action", "requires_confirmation"):
        problem = getattr(intent, "last_payment_error", None)
        reason = (getattr(problem, "code", None) if problem else None) or intent.status
        return decline(str(reason), "", intent.amount, intent.currency)
    return postpone(str(intent.status), intent.id, intent.amount, intent.currency)


def read_captured(intent: Any) -> int:
    """Return the captured amount in minor units."""
    return int(getattr(intent, "amount_received", None) or intent.amount)


def read_refund(refund: Any, reference: str) -> GatewayAnswer:
    """Return the answer of a refund: approved, declined or pending."""
    if refund.status in ("failed", "canceled"):
        reason = getattr(refund, "failure_reason", None) or refund.status
        return decline(str(reason), reference, refund.amount, refund.currency)
    if refund.status == "succeeded":
        return approve(reference, refund.amount, refund.currency)
    return postpone(str(refund.status), reference, refund.amount, refund.currency)


def approve(reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return an approved answer."""
    return GatewayAnswer(outcome="approved", reference=reference, amount=amount, currency=currency.upper())


def decline(reason: str, reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return a declined answer, which is final."""
    return GatewayAnswer(
        outcome="declined", reference=reference, amount=amount, currency=currency.upper(), reason=reason
    )


def postpone(reason: str, reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return a pending answer: Stripe has not decided yet."""
    return GatewayAnswer(
        outcome="pending", reference=reference, amount=amount, currency=currency.upper(), reason=reason
    )


def read_intent_entries(intent: Any, key: str) -> Iterator[LedgerEntry]:
    """Yield the ledger entries of an intent: its authorization, then its capture or void if there is one."""
    authorization = read_authorization(intent)
    yield make_entry(key, "authorize", authorization, intent.created)
    ends = {"succeeded": ("capture", read_captured(intent)), "canceled": ("void", intent.amount)}
    if intent.status in ends:
        operation, amount = ends[intent.status]
        answer = approve(intent.id, amount, intent.currency)
        yield make_entry(f"{key.partition(':')[0]}:{operation}", operation, answer, intent.created)


def make_entry(key: str, operation: str, answer: GatewayAnswer, created: int) -> LedgerEntry:
    """Return a ledger entry. `created` is in seconds since 1970."""
    return LedgerEntry(
        idempotency_key=key,
        operation=operation,
        reference=answer.reference,
        amount=answer.amount,
        currency=answer.currency,
        outcome=answer.outcome,
        reason=answer.reason,
        created_at=datetime.fromtimestamp(created, UTC),
    )

"""Stripe, through its own library: an authorization is a PaymentIntent with manual capture; `reference` is its id.

The library's time-outs and retries are switched off for the shop's: what got no answer is looked up later. Stripe knows
no look-up by idempotency key, so that every object carries its key in its metadata.
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

PAGE = 100
#: Clocks may differ by so much when an intent is looked for by the time of its payment.
CLOCKS_DIFFER = timedelta(minutes=10)
#: Stripe keeps idempotency keys for a day at least.
KEYS_KEPT = timedelta(hours=23)
MOST_LISTED = 1000


class StripeGateway:
    """Asks Stripe at settings.STRIPE_URL with settings.STRIPE_KEY. A payment token is the id of a PaymentMethod.

    Every call raises GatewayUnavailable when there is no answer, or none that says what was done.
    """

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        """Hold `amount`. A card that wants its owner to confirm is declined: nobody is there who could."""
        intent: Any = {
            **{"amount": amount, "currency": currency.lower(), "payment_method": token, "metadata": {"key": key}},
            **{"payment_method_types": ["card"], "capture_method": "manual", "confirm": True},
        }
        made = ask(lambda client, options: client.v1.payment_intents.create(intent, options), key)
        if isinstance(made, str):
            return decline(made, "", amount, currency)
        return read_authorization(made)

    def capture(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Take `amount` of what is held."""
        wanted: Any = {"amount_to_capture": amount}
        made = ask(lambda client, options: client.v1.payment_intents.capture(reference, wanted, options), key)
        return self._answer(made, reference, amount)

    def void(self, key: str, reference: str) -> GatewayAnswer:
        """Give back everything that is held."""
        made = ask(lambda client, options: client.v1.payment_intents.cancel(reference, {}, options), key)
        return self._answer(made, reference, None)

    def refund(self, key: str, reference: str, amount: int) -> GatewayAnswer:
        """Give back `amount` of what was captured."""
        wanted: Any = {"payment_intent": reference, "amount": amount, "metadata": {"key": key}}
        made = ask(lambda client, options: client.v1.refunds.create(wanted, options), key)
        return self._answer(made, reference, amount) if isinstance(made, str) else read_refund(made, reference)

    def _answer(self, made: Any, reference: str, amount: int | None) -> GatewayAnswer:
        if isinstance(made, str):
            intent = retrieve(reference)
            return decline(made, reference, intent.amount if amount is None else amount, intent.currency)
        return approve(reference, made.amount if amount is None else read_captured(made), made.currency)

    def lookup(self, key: str, reference: str = "") -> GatewayAnswer | None:
        """Return what was done under `key`, None when nothing was. All but an authorization need its `reference`."""
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
        """Return a webhook's own id and the key in its object's metadata.

        :raises BadHint: it is not signed by Stripe, too old, or has another shape.
        """
        header, secret = headers.get("Stripe-Signature", ""), settings.STRIPE_WEBHOOK_SECRET
        try:
            event = stripe.Webhook.construct_event(body, header, secret, TOLERANCE_SECONDS)
            return str(event.id), read_key(event.data.object)
        except (stripe.SignatureVerificationError, ValueError, AttributeError) as error:
            raise BadHint(str(error)) from error

    def read_ledger(self, since: datetime | None = None) -> Iterator[LedgerEntry]:
        """Yield what Stripe has booked for intents of the shop; with `since`, intents and refunds made from then on."""
        for intent in read_pages(lambda client, page: client.v1.payment_intents.list(page), since):
            if key := read_key(intent):
                yield from read_intent_entries(intent, key)
        for refund in read_pages(lambda client, page: client.v1.refunds.list(page), since):
            if key := read_key(refund):
                yield make_entry(key, "refund", read_refund(refund, str(refund.payment_intent)), refund.created)


@lru_cache(maxsize=8)
def open_client(key: str, url: str, connect: float, read: float) -> stripe.StripeClient:
    """Return a client that waits for `connect` and `read` seconds at most, and never asks again by itself."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(connect, read)),
    )


def ask(call: Callable[[stripe.StripeClient, Any], Any], key: str = "") -> Any:
    """Return what Stripe made, or the words with which it refused for good.

    :raises GatewayUnavailable: whether anything was done is unknown, or the shop may not ask.
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
    """Return the intent `reference`.

    :raises GatewayUnavailable: it can't be had.
    """
    intent = ask(lambda client, options: client.v1.payment_intents.retrieve(reference, {}, options))
    if isinstance(intent, str):
        raise GatewayUnavailable(f"intent {reference!r} can't be had: {intent}")
    return intent


def read_pages(
    fetch: Callable[[stripe.StripeClient, Any], Any], since: datetime | None = None, **wanted: str
) -> Iterator[Any]:
    """Yield the objects of a list, newest first, page by page, and those from `since` on only.

    :raises GatewayUnavailable: a page can't be had.
    """
    after: dict[str, str] = {}
    while True:
        page = ask(lambda client, _: fetch(client, {"limit": PAGE, **wanted, **after}))  # noqa: B023 - called at once
        if isinstance(page, str):
            raise GatewayUnavailable(f"a list can't be had: {page}")
        for made in page.data:
            if since and made.created < int(since.timestamp()):
                return
            yield made
        if not page.has_more or not page.data:
            return
        after = {"starting_after": page.data[-1].id}


def find_intent(key: str) -> Any:
    """Return the intent that carries `key`. They are listed newest first, and none is older than its payment.

    In a busy shop that can be many more than a call has time for. While Stripe still knows the key, MOST_LISTED are
    enough: sending it again gets the same answer and holds nothing twice.
    """
    moment = datetime.fromtimestamp((UUID(key.partition(":")[0]).int >> 80) / 1000, UTC)
    most = MOST_LISTED if datetime.now(UTC) - moment < KEYS_KEPT else None
    intents = read_pages(lambda client, page: client.v1.payment_intents.list(page), moment - CLOCKS_DIFFER)
    return next((intent for intent in islice(intents, most) if read_key(intent) == key), None)


def read_key(made: Any) -> str:
    """Return the idempotency key in the metadata of one of Stripe's objects, "" for none."""
    return str(getattr(getattr(made, "metadata", None), "key", ""))


def read_authorization(intent: Any) -> GatewayAnswer:
    """Say what the intent came to: held, also when it was captured or cancelled later, declined, or neither yet."""
    if intent.status in ("requires_capture", "succeeded", "canceled"):
        return approve(intent.id, intent.amount, intent.currency)
    if intent.status in ("requires_payment_method", "requires_action", "requires_confirmation"):
        problem = getattr(intent, "last_payment_error", None)
        reason = (getattr(problem, "code", None) if problem else None) or intent.status
        return decline(str(reason), "", intent.amount, intent.currency)
    return postpone(str(intent.status), intent.id, intent.amount, intent.currency)


def read_captured(intent: Any) -> int:
    """Return what was taken, in minor units."""
    return int(getattr(intent, "amount_received", None) or intent.amount)


def read_refund(refund: Any, reference: str) -> GatewayAnswer:
    """Say what a refund came to: it came through, it failed, or neither yet."""
    if refund.status in ("failed", "canceled"):
        reason = getattr(refund, "failure_reason", None) or refund.status
        return decline(str(reason), reference, refund.amount, refund.currency)
    if refund.status == "succeeded":
        return approve(reference, refund.amount, refund.currency)
    return postpone(str(refund.status), reference, refund.amount, refund.currency)


def approve(reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return the answer that it was done."""
    return GatewayAnswer(outcome="approved", reference=reference, amount=amount, currency=currency.upper())


def decline(reason: str, reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return the answer that it was refused for good."""
    return GatewayAnswer(
        outcome="declined", reference=reference, amount=amount, currency=currency.upper(), reason=reason
    )


def postpone(reason: str, reference: str, amount: int, currency: str) -> GatewayAnswer:
    """Return the answer that it is not decided yet."""
    return GatewayAnswer(
        outcome="pending", reference=reference, amount=amount, currency=currency.upper(), reason=reason
    )


def read_intent_entries(intent: Any, key: str) -> Iterator[LedgerEntry]:
    """Yield the entries of an intent: its authorization, and how that ended."""
    authorization = read_authorization(intent)
    yield make_entry(key, "authorize", authorization, intent.created)
    ends = {"succeeded": ("capture", read_captured(intent)), "canceled": ("void", intent.amount)}
    if intent.status in ends:
        operation, amount = ends[intent.status]
        answer = approve(intent.id, amount, intent.currency)
        yield make_entry(f"{key.partition(':')[0]}:{operation}", operation, answer, intent.created)


def make_entry(key: str, operation: str, answer: GatewayAnswer, created: int) -> LedgerEntry:
    """Return a line of the books."""
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

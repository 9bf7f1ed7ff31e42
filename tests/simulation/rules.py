"""What must be true of a shop after every step, and what when nothing is left to be done. Each breach is a sentence."""

from collections.abc import Iterator

from tests.simulation.model import OPENING, SKUS, WHOLE, Model, Sale

ENDED = ("declined", "voided", "refunded")


def find_breaches(model: Model) -> Iterator[str]:
    """Yield what is wrong at any moment."""
    for sku in SKUS:
        on_hand, reserved = model.on_hand[sku], model.reserved[sku]
        if not 0 <= reserved <= on_hand:
            yield f"{sku}: {reserved} reserved of {on_hand} on hand"
        held = sum(sale.lines.get(sku, 0) for sale in model.sales if sale.held == "held")
        sold = sum(sale.lines.get(sku, 0) for sale in model.sales if sale.held == "sold")
        if reserved != held:
            yield f"{sku}: {reserved} reserved, {held} held for orders"
        if on_hand != OPENING + model.booked[sku] - sold:
            yield f"{sku}: {on_hand} on hand, but {OPENING} + {model.booked[sku]} booked - {sold} sold"
    for number, sale in enumerate(model.sales):
        for breach in find_breaches_of_money(sale):
            yield f"order {number}: {breach}"


def find_breaches_of_money(sale: Sale) -> Iterator[str]:
    """Yield what is wrong between an order and the gateway's books."""
    done = find_done(sale)
    if done - {"authorize"} and "authorize" not in done:
        yield f"{sorted(done)} without an authorization"
    if {"capture", "void"} <= done:
        yield "captured and voided"
    if "refund" in done and "capture" not in done:
        yield "refunded, but never captured"
    if sale.promised > WHOLE:
        yield f"{sale.promised} of {WHOLE} halves are to go back"
    if sale.state.payment == "refunded" and sale.given_back < WHOLE:
        yield f"refunded, but {sale.given_back} of {WHOLE} halves went back"
    if sale.state.status in ("shipped", "delivered") and "capture" not in done:
        yield f"{sale.state.status}, but the books say {sorted(done)}"
    for event in ("OrderConfirmed", "OrderCancelled", "OrderShipped", "OrderDelivered"):
        if sale.topics["orders"].count(event) > 1:
            yield f"{event} is said more than once"


def find_done(sale: Sale) -> set[str]:
    """The kinds of operations that the gateway has carried out."""
    return {operation.split()[0] for operation, outcome in sale.ledger.items() if outcome == "approved"}


def find_leftovers(model: Model) -> Iterator[str]:
    """Yield what is wrong when nothing is left to be done."""
    for number, sale in enumerate(model.sales):
        done = find_done(sale)
        shown = f"order {number} is {sale.state.status}"
        if sale.state.status == "placed":
            yield f"{shown} for ever"
        elif sale.state.status == "cancelled":
            if sale.held in ("held", "sold"):
                yield f"{shown}, its stock is {sale.held}"
            if sale.state.payment not in ENDED or sale.payment != sale.state.payment:
                yield f"{shown} and knows a payment {sale.state.payment}, which is {sale.payment}"
            if done not in (set(), {"authorize", "void"}, {"authorize", "capture", "refund"}):
                yield f"{shown}, the gateway has {sorted(done)}"
        elif sale.held != "sold" or done - {"refund"} != {"authorize", "capture"}:
            yield f"{shown}, stock {sale.held}, the gateway has {sorted(done)}"
        elif sale.state.payment != ("refunded" if sale.given_back == WHOLE else "captured"):
            yield f"{shown} and knows a payment {sale.state.payment}, of which {sale.given_back} halves went back"
        booked = sum(outcome == "approved" for name, outcome in sale.ledger.items() if name.startswith("refund"))
        if sale.promised != sale.given_back or booked != len(sale.refunds):
            yield f"{shown}, {sale.promised} halves are to go back, {sale.given_back} did, in {booked} bookings"

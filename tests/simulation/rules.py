"""What must be true of a shop after every step, and what when nothing is left to be done. Each breach is a sentence."""

from collections.abc import Iterator

from tests.simulation.model import OPENING, SKUS, Model, Sale

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
    done = {operation for operation, outcome in sale.ledger.items() if outcome == "approved"}
    if done - {"authorize"} and "authorize" not in done:
        yield f"{sorted(done)} without an authorization"
    if {"capture", "void"} <= done:
        yield "captured and voided"
    if "refund" in done and "capture" not in done:
        yield "refunded, but never captured"
    if sale.state.status in ("shipped", "delivered") and ("capture" not in done or "refund" in done):
        yield f"{sale.state.status}, but the books say {sorted(done)}"
    for event in ("OrderConfirmed", "OrderCancelled", "OrderShipped", "OrderDelivered"):
        if sale.topics["orders"].count(event) > 1:
            yield f"{event} is said more than once"


def find_leftovers(model: Model) -> Iterator[str]:
    """Yield what is wrong when nothing is left to be done."""
    for number, sale in enumerate(model.sales):
        done = {operation for operation, outcome in sale.ledger.items() if outcome == "approved"}
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
        elif sale.held != "sold" or done != {"authorize", "capture"} or sale.state.payment != "captured":
            yield f"{shown}, stock {sale.held}, payment {sale.state.payment}, the gateway has {sorted(done)}"

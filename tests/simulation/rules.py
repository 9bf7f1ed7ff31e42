"""Rules for the shop: after every step, and when no work is left. Each breach is one sentence."""

from collections.abc import Iterator

from tests.simulation.model import OPENING, SKUS, WHOLE, Model, Sale

ENDED = ("declined", "voided", "refunded")


def find_breaches(model: Model) -> Iterator[str]:
    """Yield a sentence for each rule that is broken after a step."""
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
        if (answers := len(sale.topics["inventory"])) > 1:
            yield f"order {number} has {answers} answers of inventory"
        if sale.held == "waiting" and all(model.on_hand[s] - model.reserved[s] >= n for s, n in sale.lines.items()):
            yield f"order {number} waits, although its pieces are available"
        for breach in find_breaches_of_money(sale):
            yield f"order {number}: {breach}"


def find_breaches_of_money(sale: Sale) -> Iterator[str]:
    """Yield the differences between an order and the gateway's ledger."""
    done = find_done(sale)
    if done - {"authorize"} and "authorize" not in done:
        yield f"{sorted(done)} without an authorization"
    if {"capture", "void"} <= done:
        yield "captured and voided"
    if "refund" in done and "capture" not in done:
        yield "refunded, but never captured"
    if sale.promised > WHOLE:
        yield f"the refunds add up to {sale.promised} of {WHOLE} halves"
    if sale.state.payment == "refunded" and sale.given_back < WHOLE:
        yield f"refunded, but the finished refunds add up to {sale.given_back} of {WHOLE} halves"
    if sale.state.status in ("shipped", "delivered") and "capture" not in done:
        yield f"{sale.state.status}, but the ledger has {sorted(done)}"
    for event in ("OrderConfirmed", "OrderCancelled", "OrderShipped", "OrderDelivered"):
        if sale.topics["orders"].count(event) > 1:
            yield f"{event} was published more than once"


def find_done(sale: Sale) -> set[str]:
    """Return the kinds of operations that the gateway has approved."""
    return {operation.split()[0] for operation, outcome in sale.ledger.items() if outcome == "approved"}


def find_leftovers(model: Model) -> Iterator[str]:
    """Yield a sentence for each rule that is broken when no work is left."""
    for number, sale in enumerate(model.sales):
        done = find_done(sale)
        shown = f"order {number} is {sale.state.status}"
        if sale.state.status == "placed":
            yield f"{shown}, but no work is left for it"
        elif sale.state.status == "cancelled":
            if sale.held in ("waiting", "held", "sold"):
                yield f"{shown}, its stock is {sale.held}"
            if sale.state.payment not in ENDED or sale.payment != sale.state.payment:
                yield f"{shown} with payment {sale.state.payment}, but payments has {sale.payment}"
            if done not in (set(), {"authorize", "void"}, {"authorize", "capture", "refund"}):
                yield f"{shown}, the gateway has {sorted(done)}"
        elif sale.held != "sold" or done - {"refund"} != {"authorize", "capture"}:
            yield f"{shown}, stock {sale.held}, the gateway has {sorted(done)}"
        elif sale.state.payment != ("refunded" if sale.given_back == WHOLE else "captured"):
            yield f"{shown} with payment {sale.state.payment}, but {sale.given_back} halves were refunded"
        booked = sum(outcome == "approved" for name, outcome in sale.ledger.items() if name.startswith("refund"))
        if sale.promised != sale.given_back or booked != len(sale.refunds):
            yield f"{shown}: refunds of {sale.promised} halves, {sale.given_back} finished, {booked} in the ledger"

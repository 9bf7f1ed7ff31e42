"""A simple model of the shop: orders, stock and money in dictionaries, changed one step at a time.

The model uses the product's saga table. It has its own simple code for inventory, payments and the gateway. twin.py
takes the same steps with the product's code and compares the two.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal

from orders.lifecycle.saga import Happening, ImpossibleTransition, State, decide

#: The result of a call to the gateway: an answer, a request lost before the gateway, or an answer lost after it.
#: With "pending" the gateway accepts a refund without a decision; it answers any other operation.
Fate = Literal["answered", "lost_before", "lost_after", "pending"]
#: The whole amount of an order in halves, the unit of refunds.
WHOLE = 2
SKUS = ("CUP", "POT")
OPENING = 6
#: Pairs of a consumer and a topic that it reads.
ROUTES = (
    ("inventory", "orders"),
    ("payments", "orders"),
    ("orders", "inventory"),
    ("orders", "payments"),
)
HAPPENINGS = {happening.value: happening for happening in Happening}


@dataclass(slots=True)
class Refund:
    """A refund of `halves` halves of the order's amount."""

    halves: int
    status: str = "wanted"


@dataclass(slots=True)
class Call:
    """A worker's step at the gateway, for example for ``refund 2``.

    `answer` is None if the worker got no answer, and "absent" if the gateway has no result.
    """

    operation: str
    answer: str | None


@dataclass(slots=True, eq=False)
class Sale:
    """The state of one order in all apps."""

    lines: dict[str, int]
    good_card: bool
    state: State = field(default_factory=State)
    topics: dict[str, list[str]] = field(default_factory=lambda: {"orders": [], "inventory": [], "payments": []})
    read: dict[tuple[str, str], int] = field(default_factory=lambda: dict.fromkeys(ROUTES, 0))
    held: str = ""  # inventory's state of the order: "", waiting, held, sold or released
    payment: str = ""  # "" until payments has read OrderPlaced
    wanted: str = ""
    refunds: list[Refund] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)  # attempts by operation
    in_flight: list[Call] = field(default_factory=list)  # the last call has the claim
    claimed: bool = False
    absent: set[str] = field(default_factory=set)  # operations without a result at the last lookup
    ledger: dict[str, str] = field(default_factory=dict)  # the gateway's ledger: operation -> outcome

    @property
    def promised(self) -> int:
        """The halves of all refunds, finished or not."""
        return sum(refund.halves for refund in self.refunds)

    @property
    def given_back(self) -> int:
        """The halves of the finished refunds."""
        return sum(refund.halves for refund in self.refunds if refund.status == "done")

    @property
    def open_refund(self) -> int | None:
        """The number of the first unfinished refund, or None."""
        return next((n for n, refund in enumerate(self.refunds, 1) if refund.status != "done"), None)


class Model:
    """The model of the shop. Each step returns whether it was possible."""

    def __init__(self) -> None:
        self.sales: list[Sale] = []
        self.on_hand = dict.fromkeys(SKUS, OPENING)
        self.reserved = dict.fromkeys(SKUS, 0)
        self.booked: dict[str, int] = defaultdict(int)  # receipts and corrections by SKU
        self.backorders: list[Sale] = []  # in the sequence of their arrival at inventory

    def place(self, lines: dict[str, int], good_card: bool) -> None:
        """Place an order."""
        sale = Sale(lines=lines, good_card=good_card)
        sale.topics["orders"].append("OrderPlaced")
        self.sales.append(sale)

    def deliver(self, number: int, route: tuple[str, str]) -> bool:
        """Give a consumer the order's next event of a topic."""
        sale = self.sales[number]
        consumer, topic = route
        events, last = sale.topics[topic], sale.read[route]
        if last == len(events):
            return False
        sale.read[route] = last + 1
        event = events[last]
        if consumer == "orders":
            self.advance(sale, HAPPENINGS[event])
        elif consumer == "inventory":
            self.move_stock(sale, event)
        else:
            self.want_money(sale, event)
        return True

    def advance(self, sale: Sale, happening: Happening) -> None:
        """Apply `happening` by the saga's table."""
        decision = decide(sale.state, happening)
        sale.state = decision.state
        if decision.publish:
            sale.topics["orders"].append(decision.publish)

    def ask(self, number: int, happening: Happening) -> bool:
        """Apply an action of a person or the clock, unless the saga's table forbids it."""
        try:
            self.advance(self.sales[number], happening)
        except ImpossibleTransition:
            return False
        return True

    def move_stock(self, sale: Sale, event: str) -> None:
        """Apply an event of an order to the stock, like inventory."""
        if event == "OrderPlaced":
            self.reserve(sale)
        elif event == "OrderConfirmed":
            assert sale.held == "held", "confirmed, but nothing is held"
            sale.held = "sold"
            self.add(self.reserved, sale, -1)
            self.add(self.on_hand, sale, -1)
            self.serve()
        elif event == "OrderCancelled" and sale.held == "waiting":
            self.reject(sale)
        elif event == "OrderCancelled" and sale.held:
            self.add(self.reserved if sale.held == "held" else self.on_hand, sale, -1 if sale.held == "held" else 1)
            sale.held = "released"
            self.serve()

    def reserve(self, sale: Sale) -> None:
        """Hold the order's pieces, or let it wait while the pieces exist, or reject it."""
        if all(self.on_hand[sku] - self.reserved[sku] >= wanted for sku, wanted in sale.lines.items()):
            if sale.held == "waiting":
                self.backorders.remove(sale)
            sale.topics["inventory"].append("StockReserved")
            sale.held = "held"
            self.add(self.reserved, sale, 1)
        elif any(self.on_hand[sku] < wanted for sku, wanted in sale.lines.items()):
            self.reject(sale)
        elif sale.held != "waiting":
            sale.held = "waiting"
            self.backorders.append(sale)

    def reject(self, sale: Sale) -> None:
        """Answer that the pieces are missing."""
        if sale.held == "waiting":
            self.backorders.remove(sale)
        sale.held = ""
        sale.topics["inventory"].append("StockRejected")

    def serve(self) -> None:
        """Answer the backorders that fit now, or whose pieces are sold."""
        for sale in [*self.backorders]:
            self.reserve(sale)

    def lose_patience(self, number: int) -> bool:
        """Let the time of a backorder end."""
        sale = self.sales[number]
        if sale.held != "waiting":
            return False
        self.reject(sale)
        return True

    def add(self, numbers: dict[str, int], sale: Sale, times: int) -> None:
        """Add `times` the order's quantities to `numbers`, by SKU."""
        for sku, quantity in sale.lines.items():
            numbers[sku] += quantity * times

    def book(self, sku: str, difference: int) -> bool:
        """Book a receipt or correction, unless orders hold the pieces."""
        if self.on_hand[sku] + difference < self.reserved[sku]:
            return False
        self.on_hand[sku] += difference
        self.booked[sku] += difference
        self.serve()
        return True

    def want_money(self, sale: Sale, event: str) -> None:
        """Apply an event of an order to its payment, like payments."""
        if event == "OrderPlaced":
            sale.payment, sale.wanted = "pending", "authorize"
        elif event == "OrderConfirmed":
            assert (sale.payment, sale.wanted) == ("authorized", ""), "confirmed, but the payment is not authorized"
            sale.wanted = "capture"
        elif event == "OrderCancelled":
            if sale.payment == "captured" or (sale.wanted == "capture" and sale.calls["capture"]):
                self.want_back(sale, WHOLE - sale.promised)
            elif sale.payment == "pending" and not sale.calls["authorize"]:
                self.settle(sale, "voided", "PaymentVoided")
            elif sale.payment in ("pending", "authorized"):
                sale.wanted = "void"

    def give_back(self, number: int, *, whole: bool) -> bool:
        """Refund a half, or all that is left, of a captured payment."""
        sale = self.sales[number]
        if sale.payment != "captured" or sale.promised == WHOLE:
            return False
        self.want_back(sale, WHOLE - sale.promised if whole else 1)
        return True

    def want_back(self, sale: Sale, halves: int) -> None:
        """Record a refund of `halves`, unless it is 0."""
        if halves:
            sale.refunds.append(Refund(halves))
            sale.wanted = "refund"

    def begin(self, number: int, fate: Fate) -> bool:
        """Claim the payment and call the gateway, like a worker. An earlier worker may have died during its call."""
        sale = self.sales[number]
        if not sale.wanted:
            return False
        operation = sale.wanted
        if sale.payment == "pending":
            operation = "authorize"
        elif operation == "refund":
            operation = "capture" if sale.payment == "authorized" else f"refund {sale.open_refund}"
        sale.calls[operation] += 1
        if sale.ledger.get(operation) == "pending" and fate != "pending":
            sale.ledger[operation] = "approved"  # the gateway has decided since the last call
        sends = sale.calls[operation] == 1 or operation in sale.absent
        sale.absent.discard(operation)
        answer: str | None = None
        if not sends or (operation == "authorize" and sale.wanted == "void"):
            answer = sale.ledger.get(operation, "absent")
        elif fate != "lost_before":
            booked = self.charge(sale, operation, fate)
            answer = booked if fate in ("answered", "pending") else None
        sale.in_flight.append(Call(operation, answer))
        sale.claimed = True
        return True

    def charge(self, sale: Sale, operation: str, fate: Fate) -> str:
        """Return the gateway's answer. Each operation has one key, so a repeated call gets the same answer."""
        if operation not in sale.ledger:
            declined = operation == "authorize" and not sale.good_card
            pending = operation.startswith("refund") and fate == "pending"
            sale.ledger[operation] = "declined" if declined else "pending" if pending else "approved"
        return sale.ledger[operation]

    def end(self, number: int, *, oldest: bool) -> bool:
        """Record the result of a worker's call: of the last one, or of the `oldest`, whose claim has expired."""
        sale = self.sales[number]
        if not sale.in_flight:
            return False
        has_claim = sale.claimed and (len(sale.in_flight) == 1 or not oldest)
        call = sale.in_flight.pop(0 if oldest else -1)
        if has_claim:
            sale.claimed = False
            if call.answer:
                self.record(sale, call)
        return True

    def record(self, sale: Sale, call: Call) -> None:
        """Record an answer of the gateway. An authorization of a cancelled order is not sent again."""
        if call.answer == "absent":
            if call.operation == "authorize" and sale.wanted == "void":
                self.settle(sale, "voided", "PaymentVoided")
            else:
                sale.absent.add(call.operation)
        elif call.operation == "authorize":
            if call.answer == "declined":
                self.settle(sale, "declined", "PaymentDeclined")
                return
            sale.payment = "authorized"
            sale.topics["payments"].append("PaymentAuthorized")
            sale.wanted = "" if sale.wanted == "authorize" else sale.wanted
        elif call.operation == "capture":
            sale.payment = "captured"
            sale.topics["payments"].append("PaymentCaptured")
            sale.wanted = "" if sale.wanted == "capture" else sale.wanted
        elif call.operation == "void":
            self.settle(sale, "voided", "PaymentVoided")
        else:
            self.record_refund(sale, sale.refunds[int(call.operation.split()[1]) - 1], call)

    def record_refund(self, sale: Sale, refund: Refund, call: Call) -> None:
        """Record the result of a refund."""
        if call.answer == "pending":
            refund.status = "pending"
            return
        refund.status = "done"
        if sale.given_back == WHOLE:
            self.settle(sale, "refunded", "PaymentRefunded")
            return
        sale.topics["payments"].append("PaymentPartlyRefunded")
        sale.wanted = "refund" if sale.open_refund else ""

    def settle(self, sale: Sale, payment: str, event: str) -> None:
        """Set the final state of a payment and publish `event`."""
        sale.payment, sale.wanted = payment, ""
        sale.topics["payments"].append(event)

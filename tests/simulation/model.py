"""The shop as a simple model: orders, stock and money in a few dictionaries, one step at a time.

The saga's table is the product's own. What inventory, payments and the gateway do is said here a second time, as
plainly as it can be: real.py takes the same steps with the product's code, and both must show the same.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal

from orders.lifecycle.saga import Happening, ImpossibleTransition, State, decide

#: What becomes of a call to the gateway: answered, or no answer although (or because) it was (or was not) carried out.
#: Pending is a refund that the gateway has taken and not decided; any other call is answered then.
Fate = Literal["answered", "lost_before", "lost_after", "pending"]
#: Refunds are counted in halves of an order's money.
WHOLE = 2
SKUS = ("CUP", "POT")
OPENING = 6
#: Who reads which topic.
ROUTES = (
    ("inventory", "orders"),
    ("payments", "orders"),
    ("orders", "inventory"),
    ("orders", "payments"),
)
HAPPENINGS = {happening.value: happening for happening in Happening}


@dataclass(slots=True)
class Refund:
    """So many halves that are to go back."""

    halves: int
    status: str = "wanted"


@dataclass(slots=True)
class Call:
    """A call of a worker, ``refund 2`` for example; `answer` is None when the worker got none."""

    operation: str
    answer: str | None


@dataclass(slots=True)
class Sale:
    """All that there is of one order."""

    lines: dict[str, int]
    good_card: bool
    state: State = field(default_factory=State)
    topics: dict[str, list[str]] = field(default_factory=lambda: {"orders": [], "inventory": [], "payments": []})
    read: dict[tuple[str, str], int] = field(default_factory=lambda: dict.fromkeys(ROUTES, 0))
    held: str = ""  # what inventory's reservation is: nothing, held, sold, released
    payment: str = ""  # nothing before payments has heard of the order
    wanted: str = ""
    refunds: list[Refund] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)  # attempts by operation
    in_flight: list[Call] = field(default_factory=list)  # the last one holds the claim
    claimed: bool = False
    ledger: dict[str, str] = field(default_factory=dict)  # the gateway's books: operation -> outcome

    @property
    def promised(self) -> int:
        """The halves that went back or are to."""
        return sum(refund.halves for refund in self.refunds)

    @property
    def given_back(self) -> int:
        """The halves that went back."""
        return sum(refund.halves for refund in self.refunds if refund.status == "done")

    @property
    def open_refund(self) -> int | None:
        """The number of the first refund that is not done."""
        return next((n for n, refund in enumerate(self.refunds, 1) if refund.status != "done"), None)


class Model:
    """Takes steps. Each returns whether it could be taken at all."""

    def __init__(self) -> None:
        self.sales: list[Sale] = []
        self.on_hand = dict.fromkeys(SKUS, OPENING)
        self.reserved = dict.fromkeys(SKUS, 0)
        self.booked: dict[str, int] = defaultdict(int)  # by staff, of each SKU

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
        """Let the saga decide."""
        decision = decide(sale.state, happening)
        sale.state = decision.state
        if decision.publish:
            sale.topics["orders"].append(decision.publish)

    def ask(self, number: int, happening: Happening) -> bool:
        """Let a person or the clock do something; what can't be done any more, or yet, is refused."""
        try:
            self.advance(self.sales[number], happening)
        except ImpossibleTransition:
            return False
        return True

    def move_stock(self, sale: Sale, event: str) -> None:
        """Do what inventory does."""
        if event == "OrderPlaced":
            enough = all(self.on_hand[sku] - self.reserved[sku] >= wanted for sku, wanted in sale.lines.items())
            sale.topics["inventory"].append("StockReserved" if enough else "StockRejected")
            if enough:
                sale.held = "held"
                self.add(self.reserved, sale, 1)
        elif event == "OrderConfirmed":
            assert sale.held == "held", "confirmed, but nothing is held"
            sale.held = "sold"
            self.add(self.reserved, sale, -1)
            self.add(self.on_hand, sale, -1)
        elif event == "OrderCancelled" and sale.held:
            self.add(self.reserved if sale.held == "held" else self.on_hand, sale, -1 if sale.held == "held" else 1)
            sale.held = "released"

    def add(self, numbers: dict[str, int], sale: Sale, times: int) -> None:
        """Move a number of each of the order's SKUs."""
        for sku, quantity in sale.lines.items():
            numbers[sku] += quantity * times

    def book(self, sku: str, difference: int) -> bool:
        """Receive or correct by hand, unless that takes what is held."""
        if self.on_hand[sku] + difference < self.reserved[sku]:
            return False
        self.on_hand[sku] += difference
        self.booked[sku] += difference
        return True

    def want_money(self, sale: Sale, event: str) -> None:
        """Do what payments does about an order's events."""
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
        """Let staff give back a half, or all that is left, if it is captured."""
        sale = self.sales[number]
        if sale.payment != "captured" or sale.promised == WHOLE:
            return False
        self.want_back(sale, WHOLE - sale.promised if whole else 1)
        return True

    def want_back(self, sale: Sale, halves: int) -> None:
        """Write down a refund, if it is of something."""
        if halves:
            sale.refunds.append(Refund(halves))
            sale.wanted = "refund"

    def begin(self, number: int, fate: Fate) -> bool:
        """Let a worker claim the payment and call the gateway, also when another died in the middle of it."""
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
            sale.ledger[operation] = "approved"  # decided meanwhile
        answer = sale.ledger.get(operation) if sale.calls[operation] > 1 else None
        if answer is None and fate != "lost_before":
            booked = self.charge(sale, operation, fate)
            answer = booked if fate in ("answered", "pending") else None
        sale.in_flight.append(Call(operation, answer))
        sale.claimed = True
        return True

    def charge(self, sale: Sale, operation: str, fate: Fate) -> str:
        """Do what the gateway does: the same again for the same key, which is the operation's."""
        if operation not in sale.ledger:
            declined = operation == "authorize" and not sale.good_card
            pending = operation.startswith("refund") and fate == "pending"
            sale.ledger[operation] = "declined" if declined else "pending" if pending else "approved"
        return sale.ledger[operation]

    def end(self, number: int, *, oldest: bool) -> bool:
        """Let a worker record what it was answered: the last one, or the oldest, which has slept past its claim."""
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
        """Write down what the gateway answered."""
        if call.operation == "authorize":
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
        """Write down what became of a refund."""
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
        """End a payment."""
        sale.payment, sale.wanted = payment, ""
        sale.topics["payments"].append(event)

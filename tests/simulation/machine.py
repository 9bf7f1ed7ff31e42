"""Hypothesis takes the steps, in any order: people, consumers, workers that die, a gateway whose answers get lost."""

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orders.lifecycle.saga import Happening
from tests.simulation.model import ROUTES, SKUS, Fate, Model
from tests.simulation.rules import find_breaches, find_leftovers
from tests.simulation.twin import Twin

Step = tuple[str, int, int]
MOST_ORDERS = 4
#: What people and the clock do; a truth value is how much the staff gives back: all or a part.
ASKED: list[Happening | bool] = [
    Happening.CANCEL_REQUESTED,
    Happening.CANCELLED_BY_STAFF,
    Happening.DEADLINE_PASSED,
    Happening.MARKED_SHIPPED,
    Happening.MARKED_DELIVERED,
    True,
    False,
]
FATES: list[Fate] = ["answered", "lost_before", "lost_after", "pending"]
QUANTITIES = st.sampled_from([(1, 0), (0, 1), (2, 2), (1, 3), (3, 1), (4, 0), (7, 0)])
#: Of the bytes that are drawn, those from here on are people and the clock.
PEOPLE = 216


class Shop(RuleBasedStateMachine):
    """Orders, stock and money of the model under whatever may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = self.open()

    def open(self) -> Model:
        """Begin a run."""
        return Model()

    def list_steps(self) -> list[Step]:
        """Everything that consumers and workers could do now: (what, order, which)."""
        steps: list[Step] = []
        for number, sale in enumerate(self.shop.sales):
            for which, route in enumerate(ROUTES):
                if sale.read[route] < len(sale.topics[route[1]]):
                    steps.append(("deliver", number, which))
            if sale.wanted:
                steps.append(("begin", number, 0))
            if sale.in_flight:
                steps += [("end", number, 0), ("end", number, 1)]
        return steps

    def take(self, step: Step, fate: Fate) -> None:
        """Take one of the listed steps."""
        what, number, which = step
        if what == "deliver":
            self.shop.deliver(number, ROUTES[which])
        elif what == "begin":
            self.shop.begin(number, fate)
        else:
            self.shop.end(number, oldest=bool(which))

    @precondition(lambda self: len(self.shop.sales) < MOST_ORDERS)
    @rule(quantities=QUANTITIES, good_card=st.sampled_from([True, True, True, False]))
    def place(self, quantities: tuple[int, int], good_card: bool) -> None:
        """A customer orders."""
        lines = {sku: quantity for sku, quantity in zip(SKUS, quantities, strict=True) if quantity}
        self.shop.place(lines, good_card)

    @precondition(lambda self: self.shop.sales)
    @rule(choices=st.binary(min_size=6, max_size=24), fate=st.sampled_from(FATES))
    def go_on(self, choices: bytes, fate: Fate) -> None:
        """Consumers and workers do some of what they could, and people want something in between.

        Bytes are one draw: a list of numbers makes a run take twice as long.
        """
        for choice in choices:
            steps = self.list_steps()
            if choice >= PEOPLE or not steps:
                self.want(choice % len(self.shop.sales), ASKED[choice % len(ASKED)])
            else:
                self.take(steps[choice % len(steps)], fate)
            self.check()

    def want(self, number: int, wish: Happening | bool) -> None:
        """Let somebody want something, whether it can be done or not."""
        if isinstance(wish, bool):
            self.shop.give_back(number, whole=wish)
        else:
            self.shop.ask(number, wish)

    @precondition(lambda self: self.list_steps())
    @rule()
    def catch_up(self) -> None:
        """Everything that can be done now is done."""
        self.take_all_steps()

    def take_all_steps(self) -> None:
        """Take steps until there are none."""
        while steps := self.list_steps():
            self.take(steps[-1], "answered")

    @rule(sku=st.sampled_from(SKUS), difference=st.sampled_from([-4, -1, 3]))
    def book(self, sku: str, difference: int) -> None:
        """Staff count or receive."""
        self.shop.book(sku, difference)

    @invariant()
    def check(self) -> None:
        """Nothing is wrong."""
        assert list(find_breaches(self.shop)) == []

    def teardown(self) -> None:
        """Everything comes to its end, and nothing is left over."""
        self.take_all_steps()
        self.check()
        assert list(find_leftovers(self.shop)) == []


class RealShop(Shop):
    """The model and the shop itself, in a transaction that is rolled back."""

    def open(self) -> Model:
        """Begin a run."""
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        return Twin()

    def teardown(self) -> None:
        """Everything comes to its end, and nothing stays."""
        try:
            super().teardown()
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

"""State machines for Hypothesis, which takes random steps: people, consumers, crashing workers and the gateway."""

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orders.lifecycle.saga import Happening
from tests.simulation.model import ROUTES, SKUS, Fate, Model
from tests.simulation.rules import find_breaches, find_leftovers
from tests.simulation.twin import Twin

Step = tuple[str, int, int]
MOST_ORDERS = 4
#: The actions of people and the clock. A boolean is a refund by staff: True for the whole amount, False for a part.
#: None is the end of a backorder's time.
ASKED: list[Happening | bool | None] = [
    Happening.CANCEL_REQUESTED,
    Happening.CANCELLED_BY_STAFF,
    Happening.DEADLINE_PASSED,
    Happening.MARKED_SHIPPED,
    Happening.MARKED_DELIVERED,
    True,
    False,
    None,
]
FATES: list[Fate] = ["answered", "lost_before", "lost_after", "pending"]
QUANTITIES = st.sampled_from([(1, 0), (0, 1), (2, 2), (1, 3), (3, 1), (4, 0), (7, 0)])
#: A drawn byte from this value on is an action of people or the clock; a smaller one is a step of a process.
PEOPLE = 216


class Shop(RuleBasedStateMachine):
    """The model of the shop, with random steps."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = self.open()

    def open(self) -> Model:
        """Return the shop of a new run."""
        return Model()

    def list_steps(self) -> list[Step]:
        """Return the possible steps of consumers and workers as (name, number of the order, variant)."""
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
        """Take a step of list_steps(). `fate` decides the result of a call to the gateway."""
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
        """Place an order of a customer."""
        lines = {sku: quantity for sku, quantity in zip(SKUS, quantities, strict=True) if quantity}
        self.shop.place(lines, good_card)

    @precondition(lambda self: self.shop.sales)
    @rule(choices=st.binary(min_size=6, max_size=24), fate=st.sampled_from(FATES))
    def go_on(self, choices: bytes, fate: Fate) -> None:
        """Take steps of consumers and workers, mixed with actions of people.

        `choices` are bytes because Hypothesis draws them at once: with a list of numbers a run takes twice as long.
        """
        for choice in choices:
            steps = self.list_steps()
            if choice >= PEOPLE or not steps:
                self.want(choice % len(self.shop.sales), ASKED[choice % len(ASKED)])
            else:
                self.take(steps[choice % len(steps)], fate)
            self.check()

    def want(self, number: int, wish: Happening | bool | None) -> None:
        """Try an action of people or the clock, which may be impossible."""
        if wish is None:
            self.shop.lose_patience(number)
        elif isinstance(wish, bool):
            self.shop.give_back(number, whole=wish)
        else:
            self.shop.ask(number, wish)

    @precondition(lambda self: self.list_steps())
    @rule()
    def catch_up(self) -> None:
        """Take all possible steps."""
        self.take_all_steps()

    def take_all_steps(self) -> None:
        """Take steps until no step is possible."""
        while steps := self.list_steps():
            self.take(steps[-1], "answered")

    @rule(sku=st.sampled_from(SKUS), difference=st.sampled_from([-4, -1, 3]))
    def book(self, sku: str, difference: int) -> None:
        """Book a receipt or a correction by staff."""
        self.shop.book(sku, difference)

    @invariant()
    def check(self) -> None:
        """Assert that no rule is broken."""
        assert list(find_breaches(self.shop)) == []

    def teardown(self) -> None:
        """Take all remaining steps, then assert that no work is left."""
        self.take_all_steps()
        self.check()
        assert list(find_leftovers(self.shop)) == []


class RealShop(Shop):
    """The model and the real shop, in a transaction that is rolled back."""

    def open(self) -> Model:
        """Return the model and the shop of a new run, in a new transaction."""
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        return Twin()

    def teardown(self) -> None:
        """Take all remaining steps, then roll the transaction back."""
        try:
            super().teardown()
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

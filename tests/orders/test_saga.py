"""Every pair of a reachable state and a happening, pinned: whoever changes the saga changes this table too."""

from dataclasses import replace
from itertools import permutations

import pytest

from orders.models import Order
from orders.saga import Decision, Happening, ImpossibleTransition, State, decide

H = Happening
# Each column is a happening; each cell says what it does in that state:
#   note     the answer is written down, nothing else        .   nothing changes, nothing is published
#   confirm, ship, deliver, or the reason it is cancelled    !   can't happen, so it raises
HAPPENINGS = [
    *(H.STOCK_RESERVED, H.STOCK_REJECTED, H.PAYMENT_AUTHORIZED, H.PAYMENT_DECLINED, H.PAYMENT_CAPTURED),
    *(H.PAYMENT_VOIDED, H.CANCEL_REQUESTED, H.DEADLINE_PASSED, H.MARKED_SHIPPED, H.MARKED_DELIVERED),
]
TABLE = """
state     stock    payment    | reserved rejected     authorized declined         captured voided cancel               deadline        shipped delivered
placed    pending  pending    | note     out_of_stock note       payment_declined !        !      cancelled_on_request deadline_passed !       !
placed    reserved pending    | !        !            confirm    payment_declined !        !      cancelled_on_request deadline_passed !       !
placed    pending  authorized | confirm  out_of_stock !          !                !        !      cancelled_on_request deadline_passed !       !
confirmed reserved authorized | !        !            !          !                .        !      !                    .               ship    !
shipped   reserved authorized | !        !            !          !                .        !      !                    .               !       deliver
delivered reserved authorized | !        !            !          !                .        !      !                    .               !       !
cancelled pending  pending    | note     note         note       note             !        .      .                    .               !       !
cancelled pending  authorized | note     note         !          !                !        .      .                    .               !       !
cancelled pending  declined   | note     note         !          !                !        .      .                    .               !       !
cancelled reserved pending    | !        !            note       note             !        .      .                    .               !       !
cancelled reserved authorized | !        !            !          !                !        .      .                    .               !       !
cancelled reserved declined   | !        !            !          !                !        .      .                    .               !       !
cancelled rejected pending    | !        !            note       note             !        .      .                    .               !       !
cancelled rejected authorized | !        !            !          !                !        .      .                    .               !       !
cancelled rejected declined   | !        !            !          !                !        .      .                    .               !       !
"""  # noqa: E501 - a table is read by its columns
ANSWERS = {
    H.STOCK_RESERVED: {"stock": "reserved"},
    H.STOCK_REJECTED: {"stock": "rejected"},
    H.PAYMENT_AUTHORIZED: {"payment": "authorized"},
    H.PAYMENT_DECLINED: {"payment": "declined"},
}
MOVES = {
    "confirm": ("confirmed", "OrderConfirmed"),
    "ship": ("shipped", "OrderShipped"),
    "deliver": ("delivered", "OrderDelivered"),
}


def read_table() -> dict[tuple[State, Happening], str]:
    """The table as (state, happening) -> cell."""
    cells = {}
    for row in TABLE.strip().splitlines()[1:]:
        left, right = row.split("|")
        for happening, cell in zip(HAPPENINGS, right.split(), strict=True):
            cells[State(*left.split()), happening] = cell
    return cells


PINNED = read_table()


def make_decision(state: State, happening: Happening, cell: str) -> Decision:
    """What a cell means."""
    known = replace(state, **ANSWERS.get(happening, {}))
    if cell in (".", "note"):
        return Decision(known)
    if cell in MOVES:
        status, event = MOVES[cell]
        return Decision(replace(known, status=status), event)
    return Decision(replace(known, status="cancelled"), "OrderCancelled", cell)


def find_reachable_states() -> set[State]:
    found, new = {State()}, [State()]
    while new:
        state = new.pop()
        for happening in Happening:
            try:
                after = decide(state, happening).state
            except ImpossibleTransition:
                continue
            if after not in found:
                found.add(after)
                new.append(after)
    return found


def follow(*happenings: Happening) -> list[str | None]:
    """Let one thing after the other happen to a new order and return what is published after each."""
    state, published = State(), []
    for happening in happenings:
        decision = decide(state, happening)
        state = decision.state
        published.append(decision.publish)
    return published


def test_the_table_has_every_reachable_state_and_every_happening() -> None:
    assert find_reachable_states() == {state for state, _ in PINNED}
    assert set(HAPPENINGS) == set(Happening)


@pytest.mark.parametrize(("state", "happening"), PINNED)
def test_each_pair_is_decided_as_the_table_says(state: State, happening: Happening) -> None:
    cell = PINNED[state, happening]
    if cell == "!":
        with pytest.raises(ImpossibleTransition, match=happening.value):
            decide(state, happening)
    else:
        assert decide(state, happening) == make_decision(state, happening, cell)


def test_states_are_those_that_the_table_of_orders_can_hold() -> None:
    for state, _ in PINNED:
        assert state.status in Order.Status.values
        assert state.stock in Order.Stock.values
        assert state.payment in Order.Payment.values


@pytest.mark.parametrize("answers", list(permutations([H.STOCK_RESERVED, H.PAYMENT_AUTHORIZED])))
def test_both_good_answers_confirm_in_either_order(answers: tuple[Happening, ...]) -> None:
    assert follow(*answers) == [None, "OrderConfirmed"]


@pytest.mark.parametrize(
    "answers",
    [
        *permutations([H.STOCK_RESERVED, H.PAYMENT_DECLINED]),
        *permutations([H.STOCK_REJECTED, H.PAYMENT_AUTHORIZED]),
        *permutations([H.STOCK_REJECTED, H.PAYMENT_DECLINED]),
    ],
)
def test_a_bad_answer_cancels_exactly_once_in_either_order(answers: tuple[Happening, ...]) -> None:
    assert follow(*answers).count("OrderCancelled") == 1
    assert "OrderConfirmed" not in follow(*answers)


@pytest.mark.parametrize("end", [H.CANCEL_REQUESTED, H.DEADLINE_PASSED])
@pytest.mark.parametrize("stock", [H.STOCK_RESERVED, H.STOCK_REJECTED])
@pytest.mark.parametrize("payment", [H.PAYMENT_AUTHORIZED, H.PAYMENT_DECLINED])
def test_answers_that_come_after_the_end_are_noted_and_change_nothing(
    end: Happening, stock: Happening, payment: Happening
) -> None:
    for answers in permutations([stock, payment]):
        assert follow(end, *answers) == ["OrderCancelled", None, None]


def test_an_order_ends_once_whatever_comes_in_whatever_order() -> None:
    """Every order of every choice of one answer each, a cancellation and a deadline."""
    for stock in (H.STOCK_RESERVED, H.STOCK_REJECTED):
        for payment in (H.PAYMENT_AUTHORIZED, H.PAYMENT_DECLINED):
            for happenings in permutations([stock, payment, H.DEADLINE_PASSED]):
                assert len([event for event in follow(*happenings) if event]) == 1

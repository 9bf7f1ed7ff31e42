"""The saga's decision for every pair of state and happening. A change of the saga must change this table, too."""

from dataclasses import replace
from itertools import permutations, product

import pytest

from orders.lifecycle.saga import TABLE, Decision, Happening, ImpossibleTransition, State, decide
from orders.models import Order

H = Happening
# Each column is a happening, in the order of the class. Each cell is the decision in the row's state:
#   note     the state records it, no event                  .   no change, no event
#   confirm, ship, deliver, or the reason to cancel          !   impossible: decide() raises
PINS = """
state     stock    payment    | reserved rejected authorized declined captured failed voided refunded partly cancel by_staff deadline shipped delivered
placed    pending  pending    | note     stock    note       money    !        !      !      !        !      asked  staff    late     !       !
placed    pending  authorized | confirm  stock    !          !        !        !      !      !        !      asked  staff    late     !       !
placed    reserved pending    | !        !        confirm    money    !        !      !      !        !      asked  staff    late     !       !
confirmed reserved authorized | !        !        !          !        note     note   !      !        !      asked  staff    .        !       !
confirmed reserved failed     | !        !        !          !        note     !      !      !        !      asked  staff    .        !       !
confirmed reserved captured   | !        !        !          !        !        !      !      note     .      asked  staff    .        ship    !
confirmed reserved refunded   | !        !        !          !        !        !      !      !        !      asked  staff    .        !       !
shipped   reserved captured   | !        !        !          !        !        !      !      note     .      !      !        .        !       deliver
shipped   reserved refunded   | !        !        !          !        !        !      !      !        !      !      !        .        !       deliver
delivered reserved captured   | !        !        !          !        !        !      !      note     .      !      !        .        !       !
delivered reserved refunded   | !        !        !          !        !        !      !      !        !      !      !        .        !       !
cancelled pending  pending    | note     note     note       note     !        !      note   !        !      .      .        .        !       !
cancelled pending  authorized | note     note     !          !        !        !      note   !        !      .      .        .        !       !
cancelled pending  declined   | note     note     !          !        !        !      !      !        !      .      .        .        !       !
cancelled pending  voided     | note     note     !          !        !        !      !      !        !      .      .        .        !       !
cancelled reserved pending    | !        !        note       note     !        !      note   !        !      .      .        .        !       !
cancelled reserved authorized | !        !        !          !        note     note   note   !        !      .      .        .        !       !
cancelled reserved declined   | !        !        !          !        !        !      !      !        !      .      .        .        !       !
cancelled reserved failed     | !        !        !          !        note     !      note   !        !      .      .        .        !       !
cancelled reserved captured   | !        !        !          !        !        !      !      note     .      .      .        .        !       !
cancelled reserved voided     | !        !        !          !        !        !      !      !        !      .      .        .        !       !
cancelled reserved refunded   | !        !        !          !        !        !      !      !        !      .      .        .        !       !
cancelled rejected pending    | !        !        note       note     !        !      note   !        !      .      .        .        !       !
cancelled rejected authorized | !        !        !          !        !        !      note   !        !      .      .        .        !       !
cancelled rejected declined   | !        !        !          !        !        !      !      !        !      .      .        .        !       !
cancelled rejected voided     | !        !        !          !        !        !      !      !        !      .      .        .        !       !
"""  # noqa: E501 - a table needs its columns
REASONS = {
    "stock": "out_of_stock",
    "money": "payment_declined",
    "asked": "cancelled_on_request",
    "staff": "cancelled_by_staff",
    "late": "deadline_passed",
}
KNOWN = {
    H.STOCK_RESERVED: {"stock": "reserved"},
    H.STOCK_REJECTED: {"stock": "rejected"},
    H.PAYMENT_AUTHORIZED: {"payment": "authorized"},
    H.PAYMENT_DECLINED: {"payment": "declined"},
    H.PAYMENT_CAPTURED: {"payment": "captured"},
    H.PAYMENT_FAILED: {"payment": "failed"},
    H.PAYMENT_VOIDED: {"payment": "voided"},
    H.PAYMENT_REFUNDED: {"payment": "refunded"},
}
MOVES = {
    "confirm": ("confirmed", "OrderConfirmed"),
    "ship": ("shipped", "OrderShipped"),
    "deliver": ("delivered", "OrderDelivered"),
}
ALL_STATES = [State(*values) for values in product(Order.Status.values, Order.Stock.values, Order.Payment.values)]
GOOD = (H.STOCK_RESERVED, H.PAYMENT_AUTHORIZED, H.PAYMENT_CAPTURED)
CANCELS = (H.CANCEL_REQUESTED, H.CANCELLED_BY_STAFF)


def read_pins() -> dict[State, list[str]]:
    """Return the cells of PINS by state, in the order of Happening."""
    rows = [row.split("|") for row in PINS.strip().splitlines()[1:]]
    return {State(*left.split()): right.split() for left, right in rows}


PINNED = read_pins()


def make_decision(state: State, happening: Happening, cell: str) -> Decision:
    """Return the decision that `cell` means."""
    if cell == ".":
        return Decision(state)
    known = replace(state, **KNOWN.get(happening, {}))
    if cell == "note":
        return Decision(known)
    if cell in MOVES:
        status, event = MOVES[cell]
        return Decision(replace(known, status=status), event)
    return Decision(replace(known, status="cancelled"), "OrderCancelled", REASONS[cell])


def find_outcome(state: State, happening: Happening) -> str:
    """Return the kind of the decision: decided, no-op or raises."""
    try:
        decision = decide(state, happening)
    except ImpossibleTransition:
        return "raises"
    return "no-op" if decision == Decision(state) else "decided"


def follow(*happenings: Happening) -> list[str | None]:
    """Apply `happenings` to a new order. Return the event that each of them publishes, or None."""
    state, published = State(), []
    for happening in happenings:
        decision = decide(state, happening)
        state = decision.state
        published.append(decision.publish)
    return published


@pytest.mark.parametrize("state", PINNED, ids=lambda state: f"{state.status}-{state.stock}-{state.payment}")
def test_each_reachable_state_decides_as_pinned(state: State) -> None:
    for happening, cell in zip(Happening, PINNED[state], strict=True):
        if cell == "!":
            with pytest.raises(ImpossibleTransition, match=f"{happening.value} can't happen while {state.status}"):
                decide(state, happening)
        else:
            assert decide(state, happening) == make_decision(state, happening, cell), happening


def test_the_pins_contain_every_reachable_state() -> None:
    assert {State(), *(decision.state for decision in TABLE.values())} == set(PINNED)
    assert set(PINNED) <= set(ALL_STATES)


def test_in_every_unreachable_state_each_happening_raises() -> None:
    for state in set(ALL_STATES) - set(PINNED):
        for happening in Happening:
            assert find_outcome(state, happening) == "raises"


def test_every_pair_has_one_of_three_outcomes() -> None:
    outcomes = [find_outcome(state, happening) for state, happening in product(ALL_STATES, Happening)]
    assert {outcome: outcomes.count(outcome) for outcome in outcomes} == {
        "decided": 59,
        "no-op": 57,
        "raises": 1354,
    }


@pytest.mark.parametrize("answers", list(permutations([H.STOCK_RESERVED, H.PAYMENT_AUTHORIZED])))
def test_two_positive_answers_confirm_in_either_order(answers: tuple[Happening, ...]) -> None:
    assert follow(*answers) == [None, "OrderConfirmed"]


@pytest.mark.parametrize(
    "answers",
    [
        *permutations([H.STOCK_RESERVED, H.PAYMENT_DECLINED]),
        *permutations([H.STOCK_REJECTED, H.PAYMENT_AUTHORIZED]),
        *permutations([H.STOCK_REJECTED, H.PAYMENT_DECLINED]),
    ],
)
def test_a_negative_answer_cancels_exactly_once_in_either_order(answers: tuple[Happening, ...]) -> None:
    assert follow(*answers).count("OrderCancelled") == 1
    assert "OrderConfirmed" not in follow(*answers)


@pytest.mark.parametrize("end", [*CANCELS, H.DEADLINE_PASSED])
@pytest.mark.parametrize("stock", [H.STOCK_RESERVED, H.STOCK_REJECTED])
@pytest.mark.parametrize("payment", [H.PAYMENT_AUTHORIZED, H.PAYMENT_DECLINED, H.PAYMENT_VOIDED])
def test_answers_after_the_cancellation_are_recorded_and_change_nothing(
    end: Happening, stock: Happening, payment: Happening
) -> None:
    for answers in permutations([stock, payment]):
        assert follow(end, *answers) == ["OrderCancelled", None, None]


@pytest.mark.parametrize("cancel", CANCELS)
@pytest.mark.parametrize("moment", range(len(GOOD) + 1))
def test_an_order_can_be_cancelled_in_every_state_before_it_is_shipped(cancel: Happening, moment: int) -> None:
    assert follow(*GOOD[:moment], cancel)[-1] == "OrderCancelled"
    for then in ([H.MARKED_SHIPPED], [H.MARKED_SHIPPED, H.MARKED_DELIVERED]):
        with pytest.raises(ImpossibleTransition):
            follow(*GOOD, *then, cancel)


def test_a_capture_during_the_cancellation_is_refunded() -> None:
    assert follow(*GOOD[:2], H.CANCEL_REQUESTED, H.PAYMENT_CAPTURED, H.PAYMENT_REFUNDED)[2:] == [
        *("OrderCancelled", None, None)
    ]


@pytest.mark.parametrize("cancel", CANCELS)
def test_a_full_refund_before_the_cancellation_makes_the_order_refunded(
    cancel: Happening,
) -> None:
    state = State()
    for happening in (*GOOD, H.PAYMENT_PARTLY_REFUNDED, H.PAYMENT_REFUNDED, cancel):
        state = decide(state, happening).state
    assert state == State("cancelled", "reserved", "refunded")


def test_a_fully_refunded_order_can_not_be_shipped() -> None:
    with pytest.raises(ImpossibleTransition, match="payment refunded"):
        follow(*GOOD, H.PAYMENT_REFUNDED, H.MARKED_SHIPPED)
    assert follow(*GOOD, H.PAYMENT_PARTLY_REFUNDED, H.MARKED_SHIPPED)[-1] == "OrderShipped"
    assert follow(*GOOD, H.MARKED_SHIPPED, H.PAYMENT_REFUNDED, H.MARKED_DELIVERED)[-1] == "OrderDelivered"


def test_an_order_whose_capture_failed_is_captured_again_or_cancelled() -> None:
    failed = (*GOOD[:2], H.PAYMENT_FAILED)
    with pytest.raises(ImpossibleTransition, match="payment failed"):
        follow(*failed, H.MARKED_SHIPPED)
    assert follow(*failed, H.PAYMENT_CAPTURED, H.MARKED_SHIPPED)[-1] == "OrderShipped"
    assert follow(*failed, H.CANCELLED_BY_STAFF, H.PAYMENT_VOIDED)[3:] == ["OrderCancelled", None]


def test_an_order_can_not_be_shipped_before_its_payment_is_captured() -> None:
    with pytest.raises(ImpossibleTransition, match="payment authorized"):
        follow(*GOOD[:2], H.MARKED_SHIPPED)
    assert follow(*GOOD, H.MARKED_SHIPPED)[-1] == "OrderShipped"


def test_an_order_ends_once_in_every_order_of_answers() -> None:
    """Test every permutation of one answer of inventory, one of payments, and a deadline."""
    for stock in (H.STOCK_RESERVED, H.STOCK_REJECTED):
        for payment in (H.PAYMENT_AUTHORIZED, H.PAYMENT_DECLINED):
            for happenings in permutations([stock, payment, H.DEADLINE_PASSED]):
                assert len([event for event in follow(*happenings) if event]) == 1

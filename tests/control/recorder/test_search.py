"""The search finds an order by its number, its id and its payment's references, and says why it finds nothing."""

import pytest

from orders.models import Order
from payments.models import Attempt, Payment
from tests.control.recorder.conftest import LogIn

pytestmark = pytest.mark.django_db
SEARCH = "/control/orders/"


def test_one_result_leads_to_the_order_and_the_empty_search_lists_the_newest(order: Order, log_in: LogIn) -> None:
    viewer, payment = log_in("payments.view_payment"), Payment.objects.get()
    names = [order.number, f" {order.number.lower()} ", str(order.pk), order.pk.hex, payment.gateway_reference]
    names += [str(payment.pk), Attempt.objects.filter(operation="capture").get().idempotency_key]
    for name in names:
        assert viewer.get(SEARCH, {"q": name}).headers["location"] == f"{SEARCH}{order.number}/", name
    assert viewer.get(f"{SEARCH}{order.pk}/").headers["location"] == f"{SEARCH}{order.number}/"
    assert order.number in viewer.get(SEARCH).content.decode()


def test_a_search_without_result_says_what_it_looked_for(order: Order, log_in: LogIn) -> None:
    viewer, payment = log_in(), Payment.objects.get()
    for address in (SEARCH, f"{SEARCH}NOSUCHONE/"):
        answer = viewer.get(address, {"q": "NOSUCHONE"} if address == SEARCH else {})
        assert (answer.status_code, "“NOSUCHONE”" in answer.content.decode()) == (404, True)
    # A reference is found only by staff who may see payments.
    answer = viewer.get(SEARCH, {"q": payment.gateway_reference})
    assert (answer.status_code, "needs payments.view_payment" in answer.content.decode()) == (404, True)


@pytest.mark.parametrize(
    ("text", "why"),
    [("x" * 101, "has 101 characters"), ("AB\0CD", "not printable"), ("Ørder", "not printable ASCII")],
)
def test_bad_input_is_refused_with_the_reason(log_in: LogIn, text: str, why: str) -> None:
    answer = log_in().get(SEARCH, {"q": text})
    assert (answer.status_code, why in answer.content.decode()) == (400, True)


def test_an_empty_shop_says_so(log_in: LogIn) -> None:
    assert "There are no orders yet" in log_in().get(SEARCH).content.decode()

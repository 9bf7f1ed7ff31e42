"""Declined orders of guests cannot flood the mailbox and the telephone of a stranger, in the running shop."""

from uuid import uuid4

import psycopg
import pytest

from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop

ORDERS = 30
LIMIT = 5
_COUNT = """
select m.channel, count(*), count(d.id), count(*) filter (where m.status = 'suppressed')
from notifications_message m join contacts_contact c on c.id = m.contact_id
left join notifications_sandboxdelivery d on d.message_id = m.id::text
where c.email = %s and m.channel in ('email', 'sms') group by m.channel
"""


@pytest.mark.timeout(300)
def test_thirty_declined_orders_send_at_most_five_letters_to_a_stranger(running_shop: RunningShop) -> None:
    customer, sku = Customer(running_shop.base_url), find_sku(running_shop)
    stranger = {"email": f"{uuid4().hex}@example.com", "phone": f"+49 30 {uuid4().int % 10**8:08}"}
    placed = [customer.place(make_order((sku, 1), token="tok_declined", **stranger)) for _ in range(ORDERS)]
    for answer in placed:
        customer.wait_for(answer, "cancelled", seconds=60)
    assert_adds_up(running_shop)
    with psycopg.connect(running_shop.addresses["postgres"]) as connection:
        found = connection.execute(_COUNT, [stranger["email"]]).fetchall()
    assert sorted(channel for channel, *_ in found) == ["email", "sms"]
    for channel, messages, delivered, suppressed in found:
        assert 1 <= delivered <= LIMIT, channel
        assert (messages, delivered + suppressed) == (ORDERS, ORDERS), channel

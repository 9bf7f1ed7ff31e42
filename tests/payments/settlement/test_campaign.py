"""Orders with every token are confirmed, cancelled and refunded at random, while the gateway is killed at random.

Afterwards payments and the gateway's ledger agree, and no money was captured or refunded twice.
"""

import os
import random
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import close_old_connections, connection, transaction

from payments.handlers import follow_orders
from payments.models import Payment, Refund
from payments.reconciliation.comparison import find_money_differences
from payments.refunds import NotRefundable, refund_part
from payments.sandbox import scripts
from payments.sandbox.books import open_books
from payments.settlement import calls, decisions
from relay.models import Outbox
from tests.payments.settlement.campaign import READ_SECONDS, GatewayProcess, disturb, repeat

pytestmark = pytest.mark.django_db(transaction=True)
SEED = int(os.environ["SEED"])


@pytest.mark.parametrize("orders", [30, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_ledger_equals_payments_however_often_the_gateway_dies(
    orders: int, place: Any, confirmed: Any, cancelled: Any, tmp_path: Path, settings: Any, monkeypatch: Any
) -> None:
    print(f"SEED={SEED} repeats the choices")
    chance = random.Random(SEED)
    monkeypatch.setattr(decisions, "MAX_PAUSE_SECONDS", 0.3)
    monkeypatch.setattr(decisions, "ARRIVES_WITHIN", timedelta(seconds=5))
    gateway = GatewayProcess(tmp_path / "gateway.log")
    settings.SANDBOX_URL, settings.GATEWAY_READ_SECONDS = gateway.url, READ_SECONDS
    with gateway:
        deaths = random.Random(chance.random())
        began = time.monotonic()
        with repeat(settle, settle, pause=0.02), repeat(lambda: disturb(gateway, deaths, most=orders // 10)):
            waiting = [place(token, amount=100 + n) for n, token in enumerate(choose_tokens(orders, chance))]
            fates = {
                payment.pk: chance.choice(["keep", "keep", "part", "cancel at once", "cancel"]) for payment in waiting
            }
            while waiting:
                waiting = [
                    payment for payment in waiting if not meet_fate(payment, fates, chance, confirmed, cancelled)
                ]
                assert time.monotonic() - began < 600, f"{len(waiting)} payments are not finished"
            wait_until_nothing_is_wanted(began + 600)
        gateway.kill()
        print(f"{orders} orders, {gateway.kills - 1} kills, {time.monotonic() - began:.1f} s; {count_states()}")
        assert gateway.kills > 1
        gateway.start()
        assert list(find_money_differences()) == []
    assert_nothing_moved_twice()
    assert_fates_were_met(fates)


def settle() -> None:
    close_old_connections()
    calls.settle_due_payments()


def choose_tokens(orders: int, chance: random.Random) -> list[str]:
    """Return `orders` tokens in random order, each token equally often."""
    chosen = [scripts.TOKENS[n % len(scripts.TOKENS)] for n in range(orders)]
    chance.shuffle(chosen)
    return chosen


def meet_fate(payment: Payment, fates: dict[UUID, str], chance: random.Random, confirmed: Any, cancelled: Any) -> bool:
    """Apply the next event of the order's fate if it is due, and return whether the fate is complete."""
    fate, now = fates[payment.pk], Payment.objects.get(pk=payment.pk)
    if now.status == "declined":
        return True
    with transaction.atomic():
        if fate == "cancel at once":
            follow_orders([cancelled(payment)])
            return True
        if (now.status, now.wanted) == ("authorized", "nothing"):
            follow_orders([confirmed(payment)])
        elif now.status == "authorized" and fate == "cancel" and chance.random() < 0.5:
            follow_orders([cancelled(payment)])
            return True
        elif now.status == "captured":
            return end_captured(payment, fate, chance, cancelled)
    return False


def end_captured(payment: Payment, fate: str, chance: random.Random, cancelled: Any) -> bool:
    if fate == "cancel":
        follow_orders([cancelled(payment)])
    elif fate == "part":
        locked = Payment.objects.select_for_update().get(pk=payment.pk)
        for _ in range(chance.randint(1, 3)):
            try:
                refund_part(locked, chance.randint(1, payment.amount), reason="campaign", requested_by="ann")
            except NotRefundable:
                return True
    return True


def wait_until_nothing_is_wanted(deadline: float) -> None:
    while Payment.objects.exclude(wanted="nothing").exists() or calls._late:
        assert time.monotonic() < deadline, list(Payment.objects.exclude(wanted="nothing").values()[:3])
        time.sleep(0.1)


def count_states() -> dict[str, int]:
    return dict(Counter(Payment.objects.values_list("status", flat=True)))


def assert_nothing_moved_twice() -> None:
    """Assert that no authorization ended twice and that each movement of money was published once."""
    with open_books() as books:
        twice = books.execute(
            "select reference from sandbox_gateway.ledger where outcome = 'approved' and operation in"
            " ('capture', 'void') group by reference having count(*) > 1"
        ).fetchall()
        assert twice == []
        approved = books.execute("select operation from sandbox_gateway.ledger where outcome = 'approved'").fetchall()
    booked = Counter(operation for (operation,) in approved)
    told = Counter(Outbox.objects.filter(topic="shop.payments").values_list("type", flat=True))
    assert told["PaymentAuthorized.v1"] == booked["authorize"]
    assert told["PaymentCaptured.v1"] == booked["capture"]
    assert told["PaymentRefunded.v2"] == booked["refund"] == Refund.objects.filter(status="done").count()
    never_asked = Payment.objects.filter(status="voided", gateway_reference="").count()
    assert told["PaymentVoided.v1"] == booked["void"] + never_asked


def assert_fates_were_met(fates: dict[UUID, str]) -> None:
    """Assert that cancelled orders keep no money and kept orders keep the full amount."""
    with connection.cursor() as cursor:
        cursor.execute("select id, status, captured_amount - refunded_amount, amount from payments_payment")
        for payment_id, status, ours, amount in cursor.fetchall():
            fate = fates[payment_id]
            if status != "declined" and fate == "keep":
                assert (status, ours) == ("captured", amount)
            elif fate.startswith("cancel"):
                assert status in ("voided", "refunded", "declined") and ours == 0, (status, fate)

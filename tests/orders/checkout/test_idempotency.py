"""Idempotency keys: separate for each caller, kept for a week, and safe for retries after an unknown COMMIT."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.utils import timezone

from orders import tasks
from orders.checkout.placement import place_order
from orders.models import IdempotencyKey, Order, Promotion
from shop.statements import run_prepared
from tests.orders.conftest import NOTHING, Api, MakeBody, count_everything, make_promotion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]


def make_user(name: str) -> User:
    return User.objects.create(username=name)


def test_the_same_key_of_two_customers_and_a_guest_places_three_orders(make_body: MakeBody) -> None:
    callers = [make_user("ada"), make_user("grace"), None]
    placed = [place_order(idempotency_key="k-1", request=make_body(), caller=caller) for caller in callers]
    again = [place_order(idempotency_key="k-1", request=make_body(), caller=caller) for caller in callers]
    assert [placement.answer for placement in again] == [placement.answer for placement in placed]
    assert all(placement.replayed for placement in again)
    owners = [Order.objects.get(pk=placement.answer["id"]).customer for placement in placed]
    assert owners == callers


def test_a_guest_can_not_use_a_customers_key(api: Api, make_body: MakeBody) -> None:
    user = make_user("ada")
    place_order(idempotency_key="k-1", request=make_body(), caller=user)
    assert api.post(make_body(), key=f"{user.pk} k-1").status_code == 400
    assert Order.objects.count() == 1


def test_a_refused_request_leaves_its_key_free(api: Api, make_body: MakeBody) -> None:
    wrong_bodies = [make_body(email="nobody"), make_body(lines=[{"sku": "NONE", "quantity": 1}])]
    assert [api.post(body, key="k-1").status_code for body in wrong_bodies] == [400, 400]
    assert count_everything() == NOTHING
    assert api.post(make_body(), key="k-1").status_code == 201


def test_the_access_token_is_computed_and_never_stored(api: Api, make_body: MakeBody) -> None:
    first = api.post(make_body(), key="k-1").json()
    stored = IdempotencyKey.objects.get()
    assert stored.answer == {name: value for name, value in first.items() if name != "access_token"}
    assert api.post(make_body(), key="k-1").json() == first


def test_a_key_is_kept_for_seven_days_and_then_deleted(api: Api, make_body: MakeBody) -> None:
    first = api.post(make_body(), key="k-1")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(days=7, minutes=1))
    tasks.forget_old_keys()
    assert api.post(make_body(), key="k-1").json() == first.json()
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(days=9))
    tasks.forget_old_keys()
    assert not IdempotencyKey.objects.exists()
    assert Order.objects.filter(pk=UUID(first.json()["id"])).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("code", ["", "SPRING"], ids=["in one statement", "in a transaction"])
def test_a_retry_after_a_connection_lost_at_the_commit_places_one_order(
    api: Api, make_body: MakeBody, monkeypatch: pytest.MonkeyPatch, committed: bool, code: str
) -> None:
    """The server closes the connection before or after the COMMIT. The client can't distinguish the two cases."""
    make_promotion("SPRING", uses=1)
    body = make_body(promotion_code=code)
    backend: Any = type(connections["default"])
    commit = backend._commit

    def die_at(commit: Callable[[], Any]) -> Any:
        result = commit() if committed else None
        end_backend(connection.connection.info.backend_pid)
        with connection.wrap_database_errors:
            connection.connection.execute("select 1") if committed else commit()
        return result

    with monkeypatch.context() as patch:
        if code:
            patch.setattr(backend, "_commit", lambda self: die_at(lambda: commit(self)))
        else:
            patch.setattr("orders.checkout.statement.run_prepared", lambda *asked: die_at(lambda: run_prepared(*asked)))
            patch.setattr("shop.statements._has_ended", lambda server: False)  # the connection ends after this check
        lost = api.post(body, key="k-1")
    assert (lost.status_code, int(lost["Retry-After"]) > 0) == (503, True)
    connection.close()

    again = api.post(body, key="k-1")
    assert again.status_code == 201
    assert again.get("Idempotency-Replayed") == ("true" if committed else None)
    assert count_everything() == {"Order": 1, "IdempotencyKey": 1, "Contact": 1, "Outbox": 1}
    assert Promotion.objects.get().used == (1 if code else 0)


def end_backend(pid: int) -> None:
    """Terminate a connection on the server, and wait until its backend has ended."""
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s, 5000)", [pid])
    other.close()

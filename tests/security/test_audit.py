"""Changes by staff are recorded with their reason, and the records can't be changed."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import DatabaseError, connection, transaction
from django.test import Client

from orders.checkout.placement import place_order
from relay.models import Intervention
from shop.audit.models import StaffAction
from shop.catalogue.models import Product
from tests.conftest import NOT_TRUNCATED
from tests.orders.conftest import MakeBody

pytestmark = pytest.mark.django_db
MUG = "/admin/catalogue/product/MUG/change/"
FORM = {"name": "Tin Mug", "description": "", "price": "900", "picture": "", "is_active": "on"}


@pytest.fixture
def mug(products: None) -> Product:
    return Product.objects.get(sku="MUG")


def test_a_change_is_kept_with_who_what_before_after_and_why(admin_client: Client, mug: Product) -> None:
    form = {**FORM, "category": mug.category_id, "reason_for_audit": "Sale."}
    assert admin_client.post(MUG, form).status_code == 302
    row = StaffAction.objects.get()
    assert (row.actor, row.action, row.subject, row.reason) == (
        "admin:admin",
        "change",
        "catalogue.product:MUG",
        "Sale.",
    )
    assert row.before == {"name": "Mug", "price": 1250}
    assert row.after == {"name": "Tin Mug", "price": 900}


def test_nothing_is_changed_without_a_reason(admin_client: Client, mug: Product) -> None:
    answer = admin_client.post(MUG, {**FORM, "category": mug.category_id, "reason_for_audit": " "})
    assert answer.status_code == 200
    mug.refresh_from_db()
    assert (mug.price, StaffAction.objects.count()) == (1250, 0)


def test_an_action_on_several_rows_requires_a_reason_and_audits_each_row(admin_client: Client, mug: Product) -> None:
    action = {"action": "take_off_sale", "_selected_action": ["MUG", "LAMP"]}
    assert "reason" in admin_client.post("/admin/catalogue/product/", action).content.decode()
    assert Product.objects.filter(is_active=True).count() == 2
    admin_client.post("/admin/catalogue/product/", {**action, "reason": "Recalled."})
    rows = StaffAction.objects.order_by("subject")
    assert [(row.subject, row.before, row.after, row.reason) for row in rows] == [
        (f"catalogue.product:{sku}", {"is_active": True}, {"is_active": False}, "Recalled.") for sku in ("LAMP", "MUG")
    ]


def test_granted_rights_are_audited_without_the_address(admin_client: Client) -> None:
    user = User.objects.create(username="eve@example.org", email="eve@example.org")
    group = Group.objects.create(name="keepers")
    page = f"/admin/auth/user/{user.pk}/change/"
    form = {
        "username": user.username, "email": user.email, "is_active": "on", "is_staff": "on", "groups": [group.pk],
        "user_permissions": [Permission.objects.earliest("pk").pk],
        "date_joined_0": "2026-01-01", "date_joined_1": "10:00",
        "reason_for_audit": "Joins the warehouse.",
    }  # fmt: skip
    answer = admin_client.post(page, form)
    assert answer.status_code == 302, answer.content.decode()
    columns, relations = StaffAction.objects.order_by("pk")
    assert columns.after is not None
    assert columns.after["is_staff"] is True
    assert relations.after is not None
    assert relations.after["groups"] == ["keepers"]
    assert len(relations.after["user_permissions"]) == 1
    assert "eve" not in "".join(str(vars(row)) for row in (columns, relations))


def test_the_audit_can_be_read_and_not_be_changed(admin_client: Client, mug: Product) -> None:
    admin_client.post(MUG, {**FORM, "category": mug.category_id, "reason_for_audit": "Sale."})
    row = StaffAction.objects.get()
    assert "catalogue.product:MUG" in admin_client.get("/admin/audit/staffaction/").content.decode()
    assert admin_client.post(f"/admin/audit/staffaction/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    for change in (lambda: StaffAction.objects.update(reason="Nothing."), lambda: StaffAction.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()
    assert StaffAction.objects.get().reason == "Sale."


@pytest.mark.parametrize("table", NOT_TRUNCATED)
def test_an_append_only_table_can_not_be_truncated(table: str) -> None:
    StaffAction.objects.create(actor="ann", action="change", subject="s", reason="r")
    Intervention.objects.create(actor="ann", action="skip", reason="r")
    with connection.cursor() as cursor:
        cursor.execute(f"alter table {table} enable trigger {NOT_TRUNCATED[table]}")
        with pytest.raises(DatabaseError, match=f"{table} is append-only"), transaction.atomic():
            cursor.execute(f"truncate {table}")
    assert (StaffAction.objects.count(), Intervention.objects.count()) == (1, 1)


@pytest.mark.parametrize("table", NOT_TRUNCATED)
def test_an_empty_append_only_table_can_be_truncated(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"alter table {table} enable trigger {NOT_TRUNCATED[table]}")
        cursor.execute(f"truncate {table}")


def test_changes_of_orders_and_stock_are_audited(admin_client: Client, products: None, make_body: MakeBody) -> None:
    placed = place_order(idempotency_key="k", request=make_body()).answer
    action = {"action": "cancel", "_selected_action": [placed["id"]], "reason": "Rang to say so."}
    action["form_number"] = str(uuid4())
    admin_client.post("/admin/orders/order/", action)
    stock = {"sku": "MUG", "kind": "received", "quantity": "5", "low_at": "3", "reason": "Delivery 4711."}
    stock["form_number"] = str(uuid4())
    assert admin_client.post("/admin/inventory/stock/add/", stock).status_code == 302
    cancelled, received = StaffAction.objects.order_by("pk")
    assert (cancelled.subject, cancelled.reason) == (f"orders.order:{placed['id']}", "Rang to say so.")
    assert cancelled.before is not None
    assert cancelled.after is not None
    assert (cancelled.before["status"], cancelled.after["status"]) == ("placed", "cancelled")
    assert (received.subject, received.before, received.reason) == ("inventory.stock:MUG", None, "Delivery 4711.")
    assert received.after is not None
    assert received.after["on_hand"] == 5

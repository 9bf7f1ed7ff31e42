"""Staff can edit products, but can't change a SKU or delete a product, because other apps refer to it."""

import pytest
from django.test import Client

from shop.catalogue.models import Product

pytestmark = pytest.mark.django_db
PRODUCTS = "/admin/catalogue/product/"
FORM = {"sku": "MUG", "name": "Tin Mug", "description": "Tin.", "price": "900", "picture": "", "is_active": "on"}
FORM["reason_for_audit"] = "A new batch."


def test_staff_find_products_and_change_name_and_price(admin_client: Client, mug: Product, tent: Product) -> None:
    page = admin_client.get(f"{PRODUCTS}?q=enamel").content.decode()
    assert "€14.00" in page
    assert "Tunnel Tent" not in page
    answer = admin_client.post(f"{PRODUCTS}MUG/change/", {**FORM, "category": mug.category_id})
    assert answer.status_code == 302
    mug.refresh_from_db()
    assert (mug.name, mug.price) == ("Tin Mug", 900)


def test_the_sku_of_a_product_never_changes(admin_client: Client, mug: Product) -> None:
    admin_client.post(f"{PRODUCTS}MUG/change/", {**FORM, "sku": "CUP", "category": mug.category_id})
    assert list(Product.objects.values_list("sku", flat=True)) == ["MUG"]


def test_a_new_product_needs_a_proper_sku_and_gets_the_shops_currency(admin_client: Client, mug: Product) -> None:
    form = {**FORM, "category": mug.category_id}
    assert "Use capital letters" in admin_client.post(f"{PRODUCTS}add/", {**form, "sku": "cup 1"}).content.decode()
    assert admin_client.post(f"{PRODUCTS}add/", {**form, "sku": "CUP-1", "currency": "USD"}).status_code == 302
    assert Product.objects.get(sku="CUP-1").currency == "EUR"


def test_products_are_taken_off_sale_and_never_deleted(admin_client: Client, mug: Product) -> None:
    assert admin_client.post(f"{PRODUCTS}MUG/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(PRODUCTS, {"action": "delete_selected", "_selected_action": ["MUG"], "post": "yes"})
    assert Product.objects.get().is_active
    admin_client.post(PRODUCTS, {"action": "take_off_sale", "_selected_action": ["MUG"], "reason": "Chipped."})
    assert not Product.objects.get().is_active
    admin_client.post(PRODUCTS, {"action": "put_on_sale", "_selected_action": ["MUG"], "reason": "Mended."})
    assert Product.objects.get().is_active


def test_a_shelf_with_products_is_not_deleted(admin_client: Client, mug: Product) -> None:
    admin_client.post(f"/admin/catalogue/category/{mug.category_id}/delete/", {"post": "yes"})
    assert Product.objects.filter(sku="MUG", category__name="Kitchen").exists()

"""Conditional requests: a client with an up-to-date copy of a product gets 304 without a body."""

import pytest
from django.test import Client

from shop.catalogue.models import Product

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/api/v1/products/", "/api/v1/products/MUG/", "/api/v1/products/?search=mug"])
def test_an_unchanged_product_is_not_sent_again(client: Client, mug: Product, path: str) -> None:
    first = client.get(path)
    etag = first["ETag"]
    assert "no-cache" in first["Cache-Control"]
    for sent in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = client.get(path, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    Product.objects.update(price=1500)
    changed = client.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed["ETag"] != etag


def test_a_missing_product_is_never_unchanged(client: Client, mug: Product) -> None:
    assert client.get("/api/v1/products/NONE/", headers={"If-None-Match": "*"}).status_code == 404

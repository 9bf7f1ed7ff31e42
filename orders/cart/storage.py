"""Carts in the database. Each change locks the cart, so that no concurrent change is lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from orders.models import Cart, CartLine
from orders.prices.amounts import Amounts, OrderRefused, add_up
from orders.prices.promotions import find_discount
from shop.catalogue.models import Product

#: Largest number of different products in a cart.
MOST_LINES = 50
#: Largest quantity of one product in a cart.
LARGEST_QUANTITY = 999
#: Largest number of expired carts that one transaction deletes.
TOGETHER = 500
#: An id that no cart has.
NOBODYS = UUID(int=0)


class CartGone(OrderRefused):
    """The cart does not exist, belongs to another customer, or was ordered."""

    def __init__(self) -> None:
        super().__init__({"cart": ["This cart does not exist, or it was already ordered."]})


class CartEmpty(OrderRefused):
    """The cart has no lines."""

    def __init__(self) -> None:
        super().__init__({"cart": ["The cart is empty."]})


class CartFull(Exception):
    """The cart already has MOST_LINES different products."""


class NotSold(Exception):
    """The product does not exist or is no longer sold."""


@dataclass(frozen=True)
class PricedLine:
    """A product in a cart. Amounts are in minor units; `was` is the price when the customer added the product."""

    product: Product
    quantity: int
    was: int

    @property
    def line_total(self) -> int:
        return self.product.price * self.quantity

    @property
    def changed(self) -> bool:
        """Whether the price has changed since the customer added the product."""
        return self.was != self.product.price


def create_cart(customer_id: int | None = None) -> UUID:
    """Create an empty cart and return its id. If the customer already has a cart, return its id."""
    if customer_id is None:
        return Cart.objects.create().pk
    cart, _ = Cart.objects.get_or_create(customer_id=customer_id)
    return cart.pk


def find_cart(cart_id: UUID, customer_id: int | None, *, lock: bool = False) -> Cart:
    """Return the cart if it is a guest's or belongs to `customer_id`. With `lock`, lock its row.

    :raises CartGone: the cart does not exist or belongs to another customer.
    """
    carts = Cart.objects.select_for_update() if lock else Cart.objects.all()
    cart = carts.filter(pk=cart_id).first()
    if cart is None or cart.customer_id not in (None, customer_id):
        raise CartGone
    return cart


def change_quantity(
    cart_id: UUID, customer_id: int | None, sku: str, quantity: int, *, add: bool = False
) -> tuple[int, int]:
    """Set the quantity of `sku` to `quantity`, or increase it by `quantity` if `add`. Return the old and new quantity.

    A quantity above LARGEST_QUANTITY is reduced to it; 0 or less removes the line. A line keeps its first `unit_price`.

    :raises CartGone: see :func:`find_cart`.
    :raises NotSold: the new quantity is above 0, but the product is not sold.
    :raises CartFull: the product is new, and the cart already has MOST_LINES products.
    """
    with transaction.atomic():
        cart = find_cart(cart_id, customer_id, lock=True)
        lines = {line.sku: line for line in cart.lines.all()}
        held = lines[sku].quantity if sku in lines else 0
        after = min(max(held + quantity if add else quantity, 0), LARGEST_QUANTITY)
        if after:
            _put(cart, lines, sku, after)
        elif sku in lines:
            lines[sku].delete()
        Cart.objects.filter(pk=cart.pk).update(changed_at=Now())
    return held, after


def _put(cart: Cart, lines: Mapping[str, CartLine], sku: str, quantity: int) -> None:
    if sku not in lines and len(lines) >= MOST_LINES:
        raise CartFull(f"A cart holds at most {MOST_LINES} different products.")
    price = Product.objects.filter(pk=sku, is_active=True).values_list("price", flat=True).first()
    if price is None:
        raise NotSold(f"There is no product {sku!r}.")
    created = {"quantity": quantity, "unit_price": price}
    CartLine.objects.update_or_create(cart=cart, sku=sku, defaults={"quantity": quantity}, create_defaults=created)


def read_lines(cart_id: UUID) -> tuple[list[PricedLine], list[str]]:
    """Return the lines of the cart at current prices, and the SKUs of the cart that are no longer sold."""
    held = list(CartLine.objects.filter(cart_id=cart_id))
    products = Product.objects.on_sale().in_bulk([line.sku for line in held])
    lines = [PricedLine(products[line.sku], line.quantity, line.unit_price) for line in held if line.sku in products]
    return lines, [line.sku for line in held if line.sku not in products]


def drop_lines(cart_id: UUID, skus: list[str]) -> None:
    """Remove the lines of `skus` from the cart."""
    with transaction.atomic():
        Cart.objects.select_for_update().filter(pk=cart_id).first()
        CartLine.objects.filter(cart_id=cart_id, sku__in=skus).delete()


def quote(lines: list[PricedLine], country: str = "", code: str = "") -> Amounts:
    """Return the amounts of an order of `lines`, with the promotion `code` and the tax of `country`, if given.

    :raises UnusableCode: the code is unknown, not valid now, or used up.
    """
    subtotal = sum(line.line_total for line in lines)
    return add_up(subtotal, country, find_discount(code, subtotal) if code else 0)


def take_cart(cart_id: UUID, customer_id: int | None) -> list[CartLine]:
    """Delete the cart and return its lines, which become an order. Needs an open transaction.

    :raises CartGone: see :func:`find_cart`.
    :raises CartEmpty: the cart has no lines.
    """
    cart = find_cart(cart_id, customer_id, lock=True)
    lines = list(cart.lines.all())
    if not lines:
        raise CartEmpty
    cart.delete()
    return lines


def merge_carts(guest_cart_id: UUID | str | None, user: AbstractBaseUser) -> UUID | None:
    """Move the lines of the guest's cart into the cart of `user`, and return the id of that cart.

    Quantities of the same product are added up, at most LARGEST_QUANTITY. When the user's cart has MOST_LINES
    products, further products of the guest are dropped. If the guest's cart does not exist, for example because it was
    merged before, change nothing and return the id of the user's cart, or None without one.
    """
    with transaction.atomic():
        guest = Cart.objects.select_for_update().filter(pk=guest_cart_id or NOBODYS, customer=None).first()
        own = Cart.objects.select_for_update().filter(customer_id=user.pk).first()
        if guest is None:
            return own.pk if own else None
        if own is None:
            own = Cart.objects.get(pk=create_cart(user.pk))
        _move_lines(guest, own)
        guest.delete()
        Cart.objects.filter(pk=own.pk).update(changed_at=Now())
    return own.pk


def _move_lines(guest: Cart, own: Cart) -> None:
    held: dict[str, CartLine] = {line.sku: line for line in own.lines.all()}
    for line in guest.lines.all():
        if line.sku in held:
            known = held[line.sku]
            known.quantity = min(known.quantity + line.quantity, LARGEST_QUANTITY)
            known.save(update_fields=["quantity"])
        elif len(held) < MOST_LINES:
            held[line.sku] = CartLine.objects.create(
                cart=own, sku=line.sku, quantity=line.quantity, unit_price=line.unit_price
            )


def delete_expired_carts() -> int:
    """Delete the carts that did not change for CART_DAYS, TOGETHER in each transaction. Return their number.

    Locked carts are in use and skipped: to wait for a lock while holding other locks could deadlock.
    """
    deleted = 0
    while some := _delete_some_expired():
        deleted += some
    return deleted


@transaction.atomic
def _delete_some_expired() -> int:
    old = Cart.objects.filter(changed_at__lt=Now() - timedelta(days=settings.CART_DAYS)).order_by("changed_at", "pk")
    chosen = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:TOGETHER])
    Cart.objects.filter(pk__in=chosen).delete()
    return len(chosen)


def describe_cart(cart_id: UUID, country: str = "", code: str = "") -> dict[str, Any]:
    """Return the cart in the form of the API: its lines at current prices, and the amounts of an order.

    :raises UnusableCode: the code is unknown, not valid now, or used up.
    """
    lines, dropped = read_lines(cart_id)
    amounts = quote(lines, country, code)
    return {
        "id": cart_id,
        "currency": amounts.currency,
        "subtotal": amounts.subtotal,
        "discount": amounts.discount,
        "shipping": amounts.shipping,
        "tax": amounts.tax if country else None,
        "total": amounts.total,
        "lines": [
            {
                "sku": line.product.sku,
                "name": line.product.name,
                "quantity": line.quantity,
                "unit_price": line.product.price,
                "previous_unit_price": line.was if line.changed else None,
                "line_total": line.line_total,
            }
            for line in lines
        ],
        "no_longer_sold": dropped,
    }

"""Carts in the database. Every change locks its cart, so that two at once both hold; an order takes its cart away."""

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

MOST_LINES = 50
LARGEST_QUANTITY = 999
#: How many expired carts a transaction deletes.
TOGETHER = 500
NOBODYS = UUID(int=0)


class CartGone(OrderRefused):
    """There is no such cart, it is somebody else's, or it has become an order."""

    def __init__(self) -> None:
        super().__init__({"cart": ["There is no such cart, or it has become an order."]})


class CartEmpty(OrderRefused):
    """Nothing in the cart is sold here."""

    def __init__(self) -> None:
        super().__init__({"cart": ["The cart is empty."]})


class CartFull(Exception):
    """The cart has MOST_LINES different products already."""


class NotSold(Exception):
    """There is no such product, or it is not sold any more."""


@dataclass(frozen=True)
class PricedLine:
    """A product in a cart. Amounts are minor units; `was` is the price when it was put in."""

    product: Product
    quantity: int
    was: int

    @property
    def line_total(self) -> int:
        return self.product.price * self.quantity

    @property
    def changed(self) -> bool:
        """Whether the price is another than when it was put in."""
        return self.was != self.product.price


def create_cart(customer_id: int | None = None) -> UUID:
    """Make an empty cart and return its id; a customer's one cart if there is one already."""
    if customer_id is None:
        return Cart.objects.create().pk
    cart, _ = Cart.objects.get_or_create(customer_id=customer_id)
    return cart.pk


def find_cart(cart_id: UUID, customer_id: int | None, *, lock: bool = False) -> Cart:
    """Return a guest's cart, which its id opens, or the customer's own.

    :raises CartGone: there is none, or it is another customer's.
    """
    carts = Cart.objects.select_for_update() if lock else Cart.objects.all()
    cart = carts.filter(pk=cart_id).first()
    if cart is None or cart.customer_id not in (None, customer_id):
        raise CartGone
    return cart


def change_quantity(
    cart_id: UUID, customer_id: int | None, sku: str, quantity: int, *, add: bool = False
) -> tuple[int, int]:
    """Let the cart hold `quantity` of `sku`, or so many more; return what it held and holds, at most LARGEST_QUANTITY.

    0 or less removes it. A product keeps the price that it had when it was put in.

    :raises CartGone: as :func:`find_cart`.
    :raises NotSold: the product is not sold, and more than 0 of it is wanted.
    :raises CartFull: it would be one product too many.
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
        raise CartFull(f"a cart holds at most {MOST_LINES} different products")
    price = Product.objects.filter(pk=sku, is_active=True).values_list("price", flat=True).first()
    if price is None:
        raise NotSold(f"There is no product {sku!r}.")
    created = {"quantity": quantity, "unit_price": price}
    CartLine.objects.update_or_create(cart=cart, sku=sku, defaults={"quantity": quantity}, create_defaults=created)


def read_lines(cart_id: UUID) -> tuple[list[PricedLine], list[str]]:
    """Return what is in the cart at today's prices, and the SKUs in it that are no longer sold."""
    held = list(CartLine.objects.filter(cart_id=cart_id))
    products = Product.objects.on_sale().in_bulk([line.sku for line in held])
    lines = [PricedLine(products[line.sku], line.quantity, line.unit_price) for line in held if line.sku in products]
    return lines, [line.sku for line in held if line.sku not in products]


def drop_lines(cart_id: UUID, skus: list[str]) -> None:
    """Take what is no longer sold out of the cart."""
    with transaction.atomic():
        Cart.objects.select_for_update().filter(pk=cart_id).first()
        CartLine.objects.filter(cart_id=cart_id, sku__in=skus).delete()


def quote(lines: list[PricedLine], country: str = "", code: str = "") -> Amounts:
    """What an order of these lines would cost now, with the promotion `code` and the tax of `country`, if given.

    :raises UnusableCode: the code can't be used.
    """
    subtotal = sum(line.line_total for line in lines)
    return add_up(subtotal, country, find_discount(code, subtotal) if code else 0)


def take_cart(cart_id: UUID, customer_id: int | None) -> list[CartLine]:
    """Delete the cart and return what was in it: it becomes an order. Needs an open transaction.

    :raises CartGone: as :func:`find_cart`.
    :raises CartEmpty: nothing is in it.
    """
    cart = find_cart(cart_id, customer_id, lock=True)
    lines = list(cart.lines.all())
    if not lines:
        raise CartEmpty
    cart.delete()
    return lines


def merge_carts(guest_cart_id: UUID | str | None, user: AbstractBaseUser) -> UUID | None:
    """Move what a guest has in the cart into the cart of the user who has just logged in; return that cart's id.

    Quantities are added up, at most LARGEST_QUANTITY each and MOST_LINES products, the user's own first. Done twice,
    or with a cart that is gone, it changes nothing: then it returns the user's cart, or None if there is none.
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
    """Delete the carts that nobody has changed for CART_DAYS, TOGETHER at a time; return how many.

    One that is locked is in use. Waiting for it, while others are held, could wait for who waits for those.
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
    """The cart as the API answers it: today's prices, and what an order of it would cost now.

    :raises UnusableCode: the code can't be used.
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

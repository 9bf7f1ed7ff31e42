"""The checkout page. The form also works without JavaScript."""

from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from orders.cart.session import Cart, forget_cart
from orders.cart.storage import CartEmpty, CartGone, quote
from orders.checkout.placement import IdempotencyKeyReused, place_order, scope_key
from orders.models import IdempotencyKey
from orders.pages.cart import load_cart_and_notify
from orders.pages.forms import CheckoutForm, make_key
from orders.prices.amounts import OrderRefused, PriceChanged, UnknownProducts
from orders.prices.promotions import UnusableCode
from shop.activity.recording import identify_visitor, record_activity
from shop.catalogue.money import format_money
from shop.events import CheckoutCompleted, CheckoutStarted
from shop.web.order_access import may_see_order, remember_order
from shop.web.problems import flatten_errors


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def check_out(request: HttpRequest) -> HttpResponse:
    """Show the checkout page, or place the order of a sent form. A form that is sent twice places one order."""
    cart = load_cart_and_notify(request)
    if request.method != "POST":
        return open_checkout(request, cart) if cart.lines else redirect("orders:cart")
    if cart.id is None:
        return redirect_to_placed(request)
    form = CheckoutForm(request.POST, cart=cart)
    if "update" in request.POST:
        return render_checkout(request, CheckoutForm(initial=request.POST.dict(), cart=cart))
    if not form.is_valid():
        return render_checkout(request, form, status=422)
    try:
        placement = place_order(
            idempotency_key=form.cleaned_data["idempotency_key"],
            request=form.request,
            caller=find_customer(request),
            channel="web",
        )
    except (UnknownProducts, CartGone, CartEmpty):
        return redirect_to_placed(request)
    except IdempotencyKeyReused:
        data = request.POST.copy()
        data["idempotency_key"] = make_key()
        form = CheckoutForm(data, cart=cart)
        form.add_error(None, "You have already ordered with this form. Send the form again to place a second order.")
        return render_checkout(request, form, status=409)
    except OrderRefused as error:
        return render_checkout(request, show_refusal(form, error), status=409)
    order_id = UUID(placement.answer["id"])
    if not placement.replayed:
        record_activity(CheckoutCompleted(visitor=identify_visitor(request), order_id=order_id))
    remember_order(request, order_id)
    forget_cart(request)
    return redirect("orders:order-detail", order_id)


def open_checkout(request: HttpRequest, cart: Cart) -> HttpResponse:
    """Show the empty form to a visitor who comes from the cart."""
    response = render_checkout(request, CheckoutForm(cart=cart))
    if request.method == "GET":
        amounts = cart.amounts
        started = CheckoutStarted(
            visitor=identify_visitor(request), units=cart.count, total=amounts.total, currency=amounts.currency
        )
        record_activity(started)
    return response


def find_customer(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the logged-in customer, or None for a guest."""
    return request.user if request.user.is_authenticated else None


def show_refusal(form: CheckoutForm, error: OrderRefused) -> CheckoutForm:
    """Add the reason of the refusal to `form` and return the form. The page then shows the current total."""
    if isinstance(error, UnusableCode):
        form.add_error("promotion_code", error.message)
    elif isinstance(error, PriceChanged):
        total = format_money(error.amounts.total, error.amounts.currency)
        form.add_error(None, f"The total is now {total}. You have not ordered yet: send the form again to accept it.")
    else:
        form.add_error(None, " ".join(problem["message"] for problem in flatten_errors(error.errors)))
    return form


def render_checkout(request: HttpRequest, form: CheckoutForm, status: int = 200) -> HttpResponse:
    """Render the checkout page with the current amounts of the order."""
    country, code = form["country"].value() or "", form["promotion_code"].value() or ""
    try:
        amounts = quote(form.cart.lines, country, code)
    except UnusableCode as error:
        amounts = quote(form.cart.lines, country)
        problem = "" if form.is_bound else error.message
    else:
        problem = ""
    context = {"form": form, "cart": form.cart, "amounts": amounts, "code_problem": problem}
    return render(request, "orders/checkout.html", context, status=status)


def redirect_to_placed(request: HttpRequest) -> HttpResponse:
    """Redirect to the order that was placed with this form before, for example after a "back" in the browser.

    Without an order that the visitor may see, redirect to the cart.
    """
    customer = find_customer(request)
    key = request.POST.get("idempotency_key", "").replace("\0", "")
    placed = IdempotencyKey.objects.filter(key=scope_key(key, customer.pk if customer else None)).first()
    if placed and (customer or may_see_order(request, placed.order_id)):
        return redirect("orders:order-detail", placed.order_id)
    return redirect("orders:cart")

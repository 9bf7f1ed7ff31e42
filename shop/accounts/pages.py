"""Log-in, registration and log-out in the storefront."""

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from shop.accounts.backend import TooManyLogIns
from shop.accounts.forms import LogInForm, RegistrationForm
from shop.accounts.sessions import begin_session, end_all, end_session
from shop.web import limits


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """Show the form, and log in with what it brings."""
    if request.method != "POST":
        return redirect(find_next(request)) if request.user.is_authenticated else show_form(request, LogInForm())
    form = LogInForm(request.POST)
    refuse_too_many(request, "log-in")
    if not form.is_valid():
        return show_form(request, form, 422)
    user = authenticate(request, username=form.cleaned_data["email"], password=form.cleaned_data["password"])
    if not isinstance(user, User):
        form.add_error(None, "E-mail and password do not go together.")
        return show_form(request, form, 422)
    return welcome(request, user)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Show the form, and make an account of what it brings."""
    if request.method != "POST":
        return redirect(find_next(request)) if request.user.is_authenticated else show_form(request, RegistrationForm())
    form = RegistrationForm(request.POST)
    refuse_too_many(request, "register")
    if not (form.is_valid() and form.register()):
        return show_form(request, form, 422)
    messages.success(request, "Welcome! From now on your orders are kept together.")
    return welcome(request, form.user)


def show_form(request: HttpRequest, form: LogInForm, status: int = 200) -> HttpResponse:
    """Render the page of either form."""
    form.flag_errors()
    context = {"form": form, "is_new": isinstance(form, RegistrationForm), "next": find_next(request, default="")}
    return render(request, "accounts/log_in.html", context, status=status)


def welcome(request: HttpRequest, user: User) -> HttpResponse:
    """Begin the session and go on. What the guest had in the session stays there, the cart's id too."""
    next_page = find_next(request)
    begin_session(request, user)
    return redirect(next_page)


def find_next(request: HttpRequest, default: str | None = None) -> str:
    """Where the visitor wanted to go: only ever a page of this shop."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return settings.LOGIN_REDIRECT_URL if default is None else default


def refuse_too_many(request: HttpRequest, kind: str) -> None:
    """Count one more.

    :raises TooManyLogIns: that is too many from this address; the middleware answers 429.
    """
    if wait := limits.limit_request(request, kind):
        raise TooManyLogIns(wait)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """Log out on this browser; `everywhere` ends all other log-ins, too."""
    if request.POST.get("everywhere") and isinstance(request.user, User):
        end_all(request.user)
    end_session(request)
    messages.success(request, "You are logged out.")
    return redirect("catalogue:home")


@never_cache
@require_safe
@login_required
def show_account(request: HttpRequest) -> HttpResponse:
    """The account, its orders' page and the ways out."""
    return render(request, "accounts/account.html")


@require_http_methods(["GET", "HEAD", "POST"])
def log_in_staff(request: HttpRequest) -> HttpResponse:
    """The admin's own log-in, whose session can be ended like any other."""
    if request.method == "POST":
        refuse_too_many(request, "log-in")
    answer = admin.site.login(request)
    if request.method == "POST" and isinstance(request.user, User) and answer.status_code == 302:
        begin_session(request, request.user)
    return answer

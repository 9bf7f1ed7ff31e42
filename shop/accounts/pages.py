"""Log-in, registration, password and log-out in the storefront."""

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from shop.accounts.backend import TooManyLogIns
from shop.accounts.forms import LogInForm, PasswordForm, RegistrationForm
from shop.accounts.sessions import begin_session, end_all, end_session
from shop.web import limits


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """Show the log-in form, or log in with the submitted form."""
    if request.method != "POST":
        return redirect(find_next(request)) if request.user.is_authenticated else show_form(request, LogInForm())
    form = LogInForm(request.POST)
    refuse_too_many(request, "log-in")
    if not form.is_valid():
        return show_form(request, form, 422)
    user = authenticate(request, username=form.cleaned_data["email"], password=form.cleaned_data["password"])
    if not isinstance(user, User):
        form.add_error(None, "The e-mail address or the password is wrong.")
        return show_form(request, form, 422)
    return welcome(request, user)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Show the registration form, or create an account from the submitted form."""
    if request.method != "POST":
        return redirect(find_next(request)) if request.user.is_authenticated else show_form(request, RegistrationForm())
    form = RegistrationForm(request.POST)
    refuse_too_many(request, "register")
    if not (form.is_valid() and form.register()):
        return show_form(request, form, 422)
    messages.success(request, "Welcome! Your account now lists all your new orders.")
    return welcome(request, form.user)


def show_form(request: HttpRequest, form: LogInForm, status: int = 200) -> HttpResponse:
    """Render the page of the log-in or registration form."""
    form.flag_errors()
    context = {"form": form, "is_new": isinstance(form, RegistrationForm), "next": find_next(request, default="")}
    return render(request, "accounts/log_in.html", context, status=status)


def welcome(request: HttpRequest, user: User) -> HttpResponse:
    """Begin the user's session and redirect to the next page. The session keeps its data, including the cart's id."""
    next_page = find_next(request)
    begin_session(request, user)
    return redirect(next_page)


def find_next(request: HttpRequest, default: str | None = None) -> str:
    """Return the page to show next: the `next` parameter if it is a page of this shop, otherwise `default`."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return settings.LOGIN_REDIRECT_URL if default is None else default


def refuse_too_many(request: HttpRequest, kind: str) -> None:
    """Count a request of `kind` from this address.

    :raises TooManyLogIns: the limit is exceeded; the middleware returns 429.
    """
    if wait := limits.limit_request(request, kind):
        raise TooManyLogIns(wait)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """Log out on this browser. The field `everywhere` ends all other log-ins, too."""
    if request.POST.get("everywhere") and isinstance(request.user, User):
        end_all(request.user)
    end_session(request)
    messages.success(request, "You are logged out.")
    return redirect("catalogue:home")


@never_cache
@require_safe
@login_required
def show_account(request: HttpRequest) -> HttpResponse:
    """Show the account, with links to its orders and buttons to log out."""
    return render(request, "accounts/account.html")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def change_password(request: HttpRequest) -> HttpResponse:
    """Show the form for a new password, or change the password. Only this browser stays logged in."""
    form = PasswordForm(request.POST if request.method == "POST" else None)
    user = User.objects.get(username=request.user.get_username())
    if form.is_valid() and form.change(request, user):
        update_session_auth_hash(request, user)
        begin_session(request, user)
        messages.success(request, "Your password is changed. All other browsers and API clients are logged out.")
        return redirect("accounts:account")
    form.flag_errors()
    return render(request, "accounts/password.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def log_in_staff(request: HttpRequest) -> HttpResponse:
    """Show the admin's log-in page, and store the session so that the user can end it like any other log-in."""
    if request.method == "POST":
        refuse_too_many(request, "log-in")
    answer = admin.site.login(request)
    if request.method == "POST" and isinstance(request.user, User) and answer.status_code == 302:
        begin_session(request, request.user)
    return answer

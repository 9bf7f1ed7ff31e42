"""URLs of the account pages."""

from django.urls import path

from shop.accounts import pages

app_name = "accounts"
urlpatterns = [
    path("log-in/", pages.log_in, name="log-in"),
    path("register/", pages.register, name="register"),
    path("log-out/", pages.log_out, name="log-out"),
    path("account/", pages.show_account, name="account"),
    path("account/password/", pages.change_password, name="password-change"),
]

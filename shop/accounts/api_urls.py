"""URLs of accounts in the REST API, below /api/v1/."""

from django.urls import path

from shop.accounts.api import AccountList, CurrentToken, OwnAccount, OwnPassword, TokenList

urlpatterns = [
    path("accounts/", AccountList.as_view(), name="account-list"),
    path("accounts/me/", OwnAccount.as_view(), name="account-own"),
    path("accounts/me/password/", OwnPassword.as_view(), name="account-password"),
    path("tokens/", TokenList.as_view(), name="token-list"),
    path("tokens/current/", CurrentToken.as_view(), name="token-current"),
]

"""Removal of knox's token page from the admin, because staff could create a customer's token with it."""

from django.contrib import admin
from knox.models import AuthToken

admin.site.unregister(AuthToken)

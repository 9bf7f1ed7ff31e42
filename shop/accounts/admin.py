"""Log-ins in the admin: none. knox's own page would let staff make themselves a customer's token."""

from django.contrib import admin
from knox.models import AuthToken

admin.site.unregister(AuthToken)

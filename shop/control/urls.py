"""URLs of the control room, below /control/."""

from django.urls import path

from shop.control import pages
from shop.control.ledger import pages as ledger

app_name = "control"
urlpatterns = [
    path("", pages.show_overview, name="overview"),
    path("now.json", pages.answer_now, name="now"),
    path("ledger/", ledger.show_ledger, name="ledger"),
    path("ledger/verify/", ledger.request_verification, name="ledger-verify"),
    path("ledger/accept/<int:window>/<slug:part>/", ledger.accept_differences, name="ledger-accept"),
]

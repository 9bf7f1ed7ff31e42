"""URLs of the control room, below /control/."""

from django.urls import path

from shop.control import pages

app_name = "control"
urlpatterns = [
    path("", pages.show_overview, name="overview"),
    path("now.json", pages.answer_now, name="now"),
]

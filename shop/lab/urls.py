"""URLs of the lab, below /lab/. They exist with LAB=1 only."""

from django.urls import path

from shop.lab import pages

app_name = "lab"
urlpatterns = [
    path("", pages.show_lab, name="lab"),
    path("start/", pages.start, name="run-start"),
    path("stop/", pages.stop, name="run-stop"),
    path("switch/", pages.switch, name="part-switch"),
]

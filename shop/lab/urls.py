"""URLs of the lab, below /lab/. They exist with LAB=1 only."""

from django.urls import path

app_name = "lab"
urlpatterns: list[object] = []

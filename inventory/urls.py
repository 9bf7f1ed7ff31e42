"""URLs of fragments that the pages of other apps load."""

from django.urls import path

from inventory import views

app_name = "inventory"
urlpatterns = [path("stock/", views.show_availability, name="availability")]

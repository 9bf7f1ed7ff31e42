"""URLs of the control room, below /control/."""

from django.urls import path

from shop.control import pages
from shop.control.recorder import pages as recorder

app_name = "control"
urlpatterns = [
    path("", pages.show_overview, name="overview"),
    path("now.json", pages.answer_now, name="now"),
    path("orders/", recorder.search_orders, name="order-search"),
    path("orders/<str:number>/", recorder.show_order, name="order"),
]

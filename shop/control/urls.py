"""URLs of the control room, below /control/."""

from django.urls import path

from shop.control import pages
from shop.control.outages import pages as consumers
from shop.control.recorder import pages as recorder

app_name = "control"
urlpatterns = [
    path("", pages.show_overview, name="overview"),
    path("now.json", pages.answer_now, name="now"),
    path("consumers/", consumers.list_consumers, name="consumers"),
    path("consumers/<slug:name>/", consumers.show_consumer, name="consumer"),
    path("consumers/<slug:name>/pause/", consumers.pause_consumer, name="consumer-pause"),
    path("consumers/<slug:name>/resume/", consumers.resume_consumer, name="consumer-resume"),
    path("orders/", recorder.search_orders, name="order-search"),
    path("orders/<str:number>/", recorder.show_order, name="order"),
]

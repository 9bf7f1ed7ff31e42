"""URLs of the control room, below /control/."""

from django.urls import path

from shop.control import pages
from shop.control.sales import pages as sales

app_name = "control"
urlpatterns = [
    path("", pages.show_overview, name="overview"),
    path("now.json", pages.answer_now, name="now"),
    path("sales/", sales.show_sales, name="sales"),
    path("sales/<slug:panel>/", sales.show_panel, name="sales-panel"),
    path("sales/<slug:panel>/rows.csv", sales.export_panel, name="sales-csv"),
]

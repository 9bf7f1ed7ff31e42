"""URLs of the control room, below /control/."""

from django.urls import path

from shop.control import pages
from shop.control.ledger import pages as ledger
from shop.control.outages import pages as consumers
from shop.control.parked import key_pages
from shop.control.parked import pages as parked
from shop.control.recorder import pages as recorder
from shop.control.replay import pages as replay
from shop.control.sales import pages as sales

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
    path("parked/", parked.show_causes, name="parked-causes"),
    path("parked/causes/<str:fingerprint>/", parked.show_cause, name="parked-cause"),
    path("parked/causes/<str:fingerprint>/note/", parked.write_note, name="parked-note"),
    path("parked/causes/<str:fingerprint>/choose/", parked.choose_keys, name="parked-choose"),
    path("parked/redrives/<int:redrive_id>/", parked.show_redrive, name="parked-redrive"),
    path("parked/redrives/<int:redrive_id>/act/", parked.act_on_redrive, name="parked-redrive-act"),
    path("parked/key/", key_pages.show_key, name="parked-key"),
    path("parked/key/act/", key_pages.act_on_key, name="parked-key-act"),
    path("replay/", replay.show_replays, name="replay-list"),
    path("replay/count/", replay.begin_count, name="replay-count"),
    path("replay/<int:replay_id>/", replay.show_replay, name="replay"),
    path("replay/<int:replay_id>/act/", replay.act_on_replay, name="replay-act"),
    path("ledger/", ledger.show_ledger, name="ledger"),
    path("ledger/verify/", ledger.request_verification, name="ledger-verify"),
    path("ledger/accept/<int:window>/<slug:part>/", ledger.accept_differences, name="ledger-accept"),
    path("sales/", sales.show_sales, name="sales"),
    path("sales/<slug:panel>/", sales.show_panel, name="sales-panel"),
    path("sales/<slug:panel>/rows.csv", sales.export_panel, name="sales-csv"),
]

"""The Celery application. Celery is the doorbell: what is to be done stands in a row, so a lost task loses nothing."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    # A web process or a consumer never waits for the doorbell: the sweeps find the row.
    broker_transport_options={
        "socket_timeout": 1,
        "socket_connect_timeout": 0.5,
        "visibility_timeout": 600,
        "max_retries": 0,
    },
    task_publish_retry=False,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    timezone="UTC",
    beat_schedule_filename=str(settings.VAR_DIR / "celerybeat"),
    beat_schedule={
        "settle-payments": {"task": "payments.tasks.sweep_payments", "schedule": 5.0, "options": {"expires": 5}},
        "send-messages": {"task": "notifications.tasks.sweep_messages", "schedule": 5.0, "options": {"expires": 5}},
        "cancel-overdue-orders": {"task": "orders.tasks.cancel_overdue_orders", "schedule": 60.0},
        "heartbeat": {"task": "shop.tasks.beat_heart", "schedule": 2.0, "options": {"expires": 2}},
    },
)
app.autodiscover_tasks(["shop", "orders", "payments", "notifications"])

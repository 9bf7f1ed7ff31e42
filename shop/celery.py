"""The Celery application.

Celery is only a doorbell: the work is stored in rows, and a periodic task finds the row if a Celery task is lost.
"""

import os
import sys

from celery import Celery
from celery.schedules import crontab
from celery.signals import task_prerun
from django.conf import settings
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    # Short timeouts, because a web process or a consumer must not wait for Celery: the periodic sweeps find the row.
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
    # Keep database connections: Celery would reconnect for each task, and a connect costs more than most tasks.
    CELERY_DB_REUSE_MAX=sys.maxsize,
    beat_schedule_filename=str(settings.VAR_DIR / "celerybeat"),
    beat_schedule={
        "tend-queues": {"task": "shop.tasks.tend_queues", "schedule": 5.0, "options": {"expires": 5}},
        "reconcile-payments": {
            "task": "payments.tasks.reconcile_payments",
            "schedule": 3600.0,
            "options": {"expires": 600},
        },
        "seal-days": {"task": "analytics.tasks.seal_complete_days", "schedule": 3600.0},
        "drop-old-facts": {"task": "analytics.tasks.drop_old_facts", "schedule": 3600.0},
        "forget-recipients": {"task": "notifications.tasks.forget_recipients", "schedule": 3600.0},
        "cancel-overdue-orders": {"task": "orders.tasks.cancel_overdue_orders", "schedule": 60.0},
        "forget-old-keys": {"task": "orders.tasks.forget_old_keys", "schedule": 3600.0},
        "forget-old-carts": {"task": "orders.tasks.forget_old_carts", "schedule": 3600.0},
        "end-old-log-ins": {"task": "shop.tasks.end_old_log_ins", "schedule": 3600.0},
        "forget-payment-tokens": {"task": "shop.tasks.forget_payment_tokens", "schedule": 3600.0},
        "forget-old-samples": {"task": "shop.tasks.forget_old_samples", "schedule": 3600.0},
        "verify-nightly": {"task": "shop.tasks.verify_nightly", "schedule": crontab(hour="3", minute="17")},
        "tend-outbox": {"task": "shop.tasks.tend_outbox", "schedule": 3600.0},
    },
)
app.autodiscover_tasks(["shop", "orders", "inventory", "payments", "notifications", "analytics"])


@task_prerun.connect  # type: ignore[untyped-decorator]
def _keep_only_live_connections(**_sent: object) -> None:
    """Close broken database connections before each task, as Django does before each request."""
    close_old_connections()

"""The sandbox gateway's webhooks, signed and sent by one thread. Unsent webhooks are lost when the process ends."""

import heapq
import logging
import threading
import time
from itertools import count

import msgspec
import urllib3
from django.conf import settings

from payments.gateways.signatures import sign

logger = logging.getLogger(__name__)

_queue: list[tuple[float, int, bytes]] = []
_numbers = count()
_changed = threading.Condition()
_thread: threading.Thread | None = None


def schedule_webhook(key: str, happened: str, event_id: str, after_seconds: float) -> None:
    """Queue a webhook about the call with `key`, to be sent in `after_seconds`.

    Two webhooks with the same `event_id` are duplicates for the shop.
    """
    global _thread
    body = {"id": event_id, "type": happened, "key": key}
    with _changed:
        heapq.heappush(_queue, (time.monotonic() + after_seconds, next(_numbers), msgspec.json.encode(body)))
        _changed.notify()
        if _thread is None:
            _thread = threading.Thread(target=_send_all, name="webhooks", daemon=True)
            _thread.start()


def _send_all() -> None:
    sender = make_sender()
    while True:
        body = _pop_due_hint()
        try:
            send(sender, body)
        except Exception as error:
            logger.warning("webhook not delivered", extra={"error": str(error)})


def make_sender() -> urllib3.PoolManager:
    """Return an HTTP client with timeouts and without retries."""
    return urllib3.PoolManager(timeout=urllib3.Timeout(connect=1, read=5), retries=False)


def _pop_due_hint() -> bytes:
    with _changed:
        while True:
            now = time.monotonic()
            if _queue and _queue[0][0] <= now:
                return heapq.heappop(_queue)[2]
            _changed.wait(_queue[0][0] - now if _queue else None)


def send(sender: urllib3.PoolManager, body: bytes) -> None:
    """Post `body` to the shop, signed with the current time."""
    headers = {
        "Content-Type": "application/json",
        "Sandbox-Signature": sign(body, settings.PAYMENT_WEBHOOK_SECRETS[0], time.time()),
    }
    sender.request("POST", settings.PAYMENT_WEBHOOK_URL, body=body, headers=headers)

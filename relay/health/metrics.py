"""The Prometheus metrics page. Its figures come from the database.

To limit the load, reading a section may take two seconds and a whole scrape eight. A section that was slow to read is
cached for a while. A section that could not be read is reported as failed.
"""

import ipaddress
import logging
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from relay.conf import configuration
from relay.consumer.registry import all_consumers
from relay.database import connection, transaction
from relay.health.measures import (
    GAUGES,
    Sample,
    read_consumer,
    read_outbox,
    read_rounds,
    read_shards,
    read_states,
    read_vacuum,
)
from relay.heartbeat import BUCKETS

logger = logging.getLogger(__name__)

_REFUSAL = (
    "Metrics need RELAY['METRICS_TOKEN'] as a bearer token. Without a token, RELAY['METRICS_LOCAL'] allows requests "
    "from this machine to localhost that no proxy forwarded.\n"
)

# Limits of one statement, and of a whole scrape.
QUESTION_SECONDS = 2.0
SCRAPE_SECONDS = 8.0
# A section slower than SLOW_SECONDS is cached for this multiple of its duration: it is busy at most 5 % of the time.
KEPT_TIMES = 20.0
SLOW_SECONDS = 0.05


class Section:
    """Samples that are read together or not at all."""

    def __init__(self, name: str, read: Callable[[], Iterator[Sample]]) -> None:
        self.name = name
        self._read = read
        self._kept: list[Sample] = []
        self._keep_until = 0.0

    def read(self, deadline: float) -> list[Sample]:
        """Return the samples, or cached ones after a slow read. Skip the read after `deadline`, a time.monotonic()."""
        began = time.monotonic()
        if began < self._keep_until:
            return self._kept
        failed, samples = True, []
        try:
            if began < deadline:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(f"set local statement_timeout = '{QUESTION_SECONDS:g}s'")
                    samples = list(self._read())
                failed = False
        except Error as error:
            logger.warning("metrics are missing", extra={"section": self.name, "error": str(error).strip()})
        took = time.monotonic() - began
        labels = {"section": self.name}
        self._kept = [*samples, ("relay_scrape_failed", labels, int(failed)), ("relay_scrape_seconds", labels, took)]
        self._keep_until = began + took * KEPT_TIMES if took > SLOW_SECONDS else 0.0
        return self._kept


class RelayCollector:
    """All sections, as metric families of prometheus_client."""

    def __init__(self) -> None:
        self._sections = [Section("outbox", read_outbox), Section("rounds", read_rounds)]
        self._sections += [Section("states", read_states), Section("shards", read_shards)]
        self._sections += [Section("vacuum", read_vacuum)]
        for consumer in all_consumers():
            read = partial(read_consumer, consumer, seconds=QUESTION_SECONDS)
            self._sections.append(Section(f"lag of {consumer.name}", read))

    def collect(self) -> Iterator[Metric]:
        """Read the sections one after the other."""
        families: dict[str, Any] = {}
        deadline = time.monotonic() + SCRAPE_SECONDS
        for section in self._sections:
            for name, labels, value in section.read(deadline):
                family = families.get(name) or families.setdefault(name, _make_family(name, list(labels), value))
                if isinstance(value, dict):
                    family.add_metric(labels.values(), *_accumulate(value))
                else:
                    family.add_metric(labels.values(), value)
        yield from families.values()


def _make_family(name: str, labels: list[str], value: Any) -> Metric:
    if name in GAUGES:
        return GaugeMetricFamily(name, GAUGES[name], labels=labels)
    if isinstance(value, dict):
        return HistogramMetricFamily(name, "Seconds, since the start of the process.", labels=labels)
    return CounterMetricFamily(name, "Counted since the start of the process.", labels=labels)


def _accumulate(histogram: dict[str, Any]) -> tuple[list[tuple[str, float]], float]:
    total, buckets = 0, []
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), histogram["buckets"], strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets, histogram["sum"]


@cache
def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(RelayCollector())
    return registry


def may_scrape(request: HttpRequest) -> bool:
    """Return whether the request has RELAY["METRICS_TOKEN"] or, without a token, METRICS_LOCAL allows it.

    METRICS_LOCAL allows requests from this machine to this machine. A forwarded request is not from this machine, but
    a proxy on this machine may forward a request without any trace.
    """
    configured = configuration()
    if configured.metrics_token:
        expected = f"Bearer {configured.metrics_token}"
        return constant_time_compare(request.headers.get("Authorization", ""), expected)
    if not configured.metrics_local or not _names_this_machine(request.META.get("HTTP_HOST", "")):
        return False
    if any(header in request.headers for header in ("Forwarded", "X-Forwarded-For", "X-Real-IP")):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str) -> bool:
    """Return whether the header `Host` is localhost or a loopback address, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@never_cache
@require_safe
def answer_metrics(request: HttpRequest) -> HttpResponse:
    """Answer a scrape, in the format that the scraper prefers."""
    if not may_scrape(request):
        return HttpResponse(_REFUSAL, "text/plain", status=403)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(_registry()), content_type)

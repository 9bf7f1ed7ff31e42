"""The consumer's span belongs to the trace of the event's publisher."""

import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import transaction
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from relay import publish
from relay.forwarder.forwarder import Forwarder
from relay.models import Outbox
from relay.operations import cluster
from relay.publisher.topics import known_topics
from relay.publisher.tracing import current_traceparent, span_for
from tests.relay.events import BookLent
from tests.relay.readers import Readers


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that OpenTelemetry's SDK has recorded."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def find(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = [span for span in spans.get_finished_spans() if span.name == name]
    return span


@pytest.mark.django_db(transaction=True)
def test_the_consumers_span_is_a_child_of_the_publishers_span(
    parts: object, readers: Readers, spans: InMemorySpanExporter
) -> None:
    cluster.create_topics(known_topics())
    book = uuid4()
    with trace.get_tracer("test").start_as_current_span("lend a book"), transaction.atomic():
        publish(BookLent(book=book, reader="Ada"))
    forwarder = Forwarder()
    while Outbox.objects.filter(published_at=None).exists():
        forwarder.forward_round()
    deliveries = [delivery for delivery in cluster.read_log(["test.library"]) if delivery.key == str(book)]
    readers.consumer.process(deliveries)
    parent, child = find(spans, "lend a book"), find(spans, "process test.library")
    assert child.parent is not None and parent.context is not None and child.context is not None
    assert (child.parent.trace_id, child.parent.span_id) == (parent.context.trace_id, parent.context.span_id)
    assert child.kind is trace.SpanKind.CONSUMER
    # Events that the handler publishes belong to the same trace, so that a chain of events is one trace.
    (following,) = Outbox.objects.filter(topic="test.notices", key=str(book))
    assert following.traceparent.startswith(f"00-{parent.context.trace_id:032x}-{child.context.span_id:016x}-")


def test_the_span_of_many_events_is_linked_to_all_of_their_publishers(spans: InMemorySpanExporter) -> None:
    traceparents = []
    for name in ("first", "second"):
        with trace.get_tracer("test").start_as_current_span(name):
            traceparents.append(current_traceparent())
    with span_for("readers", "test.library", [*traceparents, ""]):
        pass
    span = find(spans, "process test.library")
    assert span.parent is None
    linked = {(link.context.trace_id, link.context.span_id) for link in span.links}
    assert linked == {(c.trace_id, c.span_id) for c in (find(spans, name).context for name in ("first", "second")) if c}


def test_a_failing_handler_is_recorded_in_its_span(readers: Readers, spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), span_for("readers", "test.library", [""]):
        raise ValueError("no")
    assert not find(spans, "process test.library").status.is_ok


def test_without_a_span_there_is_no_traceparent() -> None:
    assert current_traceparent() == ""


def test_publishing_works_without_opentelemetry() -> None:
    """Run in a separate process, in which the import fails."""
    program = """
import sys
sys.modules["opentelemetry"] = None
from relay.publisher.tracing import current_traceparent, span_for
with span_for("readers", "test.library", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]):
    assert current_traceparent() == ""
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)

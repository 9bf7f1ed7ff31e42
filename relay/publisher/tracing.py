"""Trace context through the outbox and Kafka, for projects that use OpenTelemetry.

This module imports OpenTelemetry only if the project has imported it before: otherwise there is no active span.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def current_traceparent() -> str:
    """Return the W3C traceparent of the active span, or "" if there is none."""
    if "opentelemetry.trace" not in sys.modules:
        return ""
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def span_for(consumer: str, topic: str, traceparents: Sequence[str]) -> AbstractContextManager[Any]:
    """Return a context manager for the span of `consumer` while it handles events of `topic`.

    For one event the span is a child of the producer's span; for several events it has a link to each.
    """
    if "opentelemetry.trace" not in sys.modules:
        return nullcontext()
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    origins = [TraceContextTextMapPropagator().extract({"traceparent": given}) for given in traceparents if given]
    return trace.get_tracer("relay").start_as_current_span(
        f"process {topic}",
        context=origins[0] if len(traceparents) == len(origins) == 1 else None,
        kind=trace.SpanKind.CONSUMER,
        links=[trace.Link(trace.get_current_span(o).get_span_context()) for o in origins if len(traceparents) > 1],
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": consumer,
            "messaging.batch.message_count": len(traceparents),
        },
    )

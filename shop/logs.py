"""Log format: one line per record, with the extra fields as key=value after the message."""

import logging
import re
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

# PostgreSQL adds the row that violates a constraint to its error message. The row may contain personal data.
_ROW = re.compile(r"Failing row contains \(.*")


def LineFormatter() -> logging.Formatter:  # noqa: N802 - settings name it like a class
    """Return the log formatter of all processes."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _drop_request,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=_format_traceback),
        ],
    )


def _drop_request(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove Django's request, because its URL may contain an order's access token."""
    event.pop("request", None)
    return event


def _format_traceback(out: TextIO, error: Any) -> None:
    """Write a traceback without local variables and table rows, because both may contain personal data."""
    text = "".join(traceback.format_exception(*error))
    out.write("\n" + _ROW.sub("Failing row contains (…)", text).rstrip())

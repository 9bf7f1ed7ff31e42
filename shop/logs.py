"""One line for each log record, its extra fields as key=value behind the message."""

import logging
import re
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

# What PostgreSQL adds to an error: the row that broke a constraint, with whatever stands in it.
_ROW = re.compile(r"Failing row contains \(.*")


def LineFormatter() -> logging.Formatter:  # noqa: N802 - named by settings as if it were a class
    """Build the formatter that every process logs with."""
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
    """Leave out Django's request, whose address may carry an order's access token; the message names the path."""
    event.pop("request", None)
    return event


def _format_traceback(out: TextIO, error: Any) -> None:
    """Write a traceback without local variables and without rows of tables: personal data may stand in both."""
    text = "".join(traceback.format_exception(*error))
    out.write("\n" + _ROW.sub("Failing row contains (…)", text).rstrip())

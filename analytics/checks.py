"""A system check of the archive, so that a missing package is found before the first day is old enough."""

from importlib.util import find_spec
from typing import Any

from django.core.checks import CheckMessage, Error, register

from analytics.archive.folder import is_on


@register("analytics")
def check_archive(**options: Any) -> list[CheckMessage]:
    """Return an error if days must be archived and pyarrow is missing."""
    if not is_on() or find_spec("pyarrow"):
        return []
    hint = "Install the extra `archive`, or unset ANALYTICS_ARCHIVE_DIR to drop days without an archive."
    return [Error("ANALYTICS_ARCHIVE_DIR is set, but pyarrow is not installed.", hint=hint, id="analytics.E001")]

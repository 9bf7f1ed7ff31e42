"""Flink's REST API: the state of the job and its checkpoints."""

import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_SECONDS = 5


class FlinkUnavailable(Exception):
    """Flink's job manager does not answer."""


@dataclass(frozen=True, slots=True)
class Job:
    """The newest job of the cluster.

    - `state`: a state of Flink, for example RUNNING, RESTARTING or FAILED; "NONE" without a job.
    - `restarts`: restarts since the job's start.
    - `checkpoints`: completed checkpoints since the job's start; `checkpoint_at`: the beginning of the last one.
    - `error`: the first line of the last failure, or "".
    """

    id: str = ""
    state: str = "NONE"
    restarts: int = 0
    checkpoints: int = 0
    checkpoint_at: datetime | None = None
    error: str = ""


def read_job(url: str) -> Job:
    """Return the newest job.

    :raises FlinkUnavailable: the job manager does not answer.
    """
    newest = find_newest(url)
    if not newest:
        return Job()
    path = f"/jobs/{newest['jid']}"
    checkpoints = _get(url, f"{path}/checkpoints")
    restarts = _get(url, f"{path}/metrics?get=numRestarts")
    failures = _get(url, f"{path}/exceptions?maxExceptions=1").get("exceptionHistory", {}).get("entries", [])
    last = (checkpoints.get("latest") or {}).get("completed")
    return Job(
        newest["jid"],
        newest["state"],
        int(float(restarts[0]["value"])) if restarts else 0,
        checkpoints["counts"]["completed"],
        datetime.fromtimestamp(last["trigger_timestamp"] / 1000, UTC) if last else None,
        _find_cause(failures[0]["stacktrace"]) if failures else "",
    )


def find_newest(url: str) -> dict[str, Any]:
    """Return what Flink says about the newest job, or an empty dictionary without one.

    :raises FlinkUnavailable: the job manager does not answer.
    """
    jobs: list[dict[str, Any]] = _get(url, "/jobs/overview")["jobs"]
    return max(jobs, key=lambda job: int(job["start-time"]), default={})


def _find_cause(stacktrace: str) -> str:
    """Return the line of the innermost cause."""
    lines = stacktrace.splitlines()
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else lines[0])[:300]


def _get(url: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}{path}", timeout=_SECONDS) as response:
            return json.load(response)
    except (OSError, ValueError) as error:
        raise FlinkUnavailable(f"Flink does not answer at {url}: {error}") from error

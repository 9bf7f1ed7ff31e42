"""A rebuild that is killed at any point continues, while the consumer runs in another process.

The rebuild is a forked process that kills itself with SIGKILL at a failpoint. Meanwhile this process publishes events
and is the consumer.
"""

import os
import signal
import traceback
from collections.abc import Iterator
from io import StringIO
from itertools import count

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.generation import FIRST, SCHEMAS, Generation, current, drop_tables
from analytics.models import GenerationChoice
from analytics.rebuild import filler
from analytics.rebuild.aside import exists
from analytics.recount.comparison import recount
from analytics.sessions import compute_sessions
from relay.process import failpoint
from tests.analytics.replicas import Replica, publish_all
from tests.analytics.traffic import Traffic

pytestmark = pytest.mark.django_db(transaction=True)
SEED = int(os.environ["SEED"])
#: Where the rebuild is killed, one run after the other: the failpoint, and how often it is passed before.
DEATHS = [("consumer.applied", 3), ("consumer.committed", 2), ("generation.switching", 0), ("", 0)]


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(filler, "STEP", 60)
    monkeypatch.setattr(filler, "BUSY_STEP", 60)
    monkeypatch.setattr(filler, "PAUSE", 0.0)
    yield
    failpoint.hook = None
    for schema in SCHEMAS[1:]:
        drop_tables(Generation("", schema))


def start_rebuild(death: str, passes: int) -> int:
    """Start a rebuild in a forked process, which dies at the failpoint `death`. Return its process id."""
    connection.close()  # parent and child would share an inherited connection
    if pid := os.fork():
        return pid
    code, passed = 1, count()

    def die(label: str) -> None:
        if label == death and next(passed) == passes:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        failpoint.hook = die
        call_command("analytics", "rebuild", "--confirm", "--reason", "a new column", stdout=StringIO())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def test_a_rebuild_that_is_killed_at_any_point_continues_while_the_consumer_goes_on() -> None:
    events = iter(Traffic(SEED, visits=80).events)
    publish_all([next(events) for _ in range(300)])
    Replica().deliver()
    for death, passes in DEATHS:
        pid = start_rebuild(death, passes)
        ended = (0, 0)
        while ended == (0, 0):
            publish_all([event for _, event in zip(range(2), events, strict=False)])
            Replica().deliver()
            assert current().schema == FIRST.schema or not death
            ended = os.waitpid(pid, os.WNOHANG)
        assert os.waitstatus_to_exitcode(ended[1]) == (-signal.SIGKILL if death else 0), death
        if death:
            assert current() == FIRST
            assert GenerationChoice.objects.get().switched_at is None
    publish_all(events)
    Replica().deliver()
    assert current().schema == SCHEMAS[1]
    compute_sessions()
    assert recount().differences == []


def test_two_processes_share_the_keys_and_a_build_whose_second_process_was_killed_continues() -> None:
    events, main, passed = iter(Traffic(SEED, visits=80).events), os.getpid(), count()
    publish_all([next(events) for _ in range(300)])
    Replica().deliver()

    def die(label: str) -> None:
        if os.getpid() != main and label == "consumer.committed" and next(passed) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    rebuild = ["rebuild", "--confirm", "--reason", "a new column", "--processes", "2"]
    failpoint.hook = die
    with pytest.raises(CommandError, match="second process of the rebuild ended with the code -9"):
        call_command("analytics", *rebuild, stdout=StringIO())
    assert current() == FIRST
    failpoint.hook = None
    publish_all(events)
    Replica().deliver()
    out = StringIO()
    call_command("analytics", *rebuild, stdout=out)
    choice = GenerationChoice.objects.get()
    assert current().schema == SCHEMAS[1] and 0 < choice.second_events < choice.events, out.getvalue()
    compute_sessions()
    assert recount().differences == []
    assert not exists()

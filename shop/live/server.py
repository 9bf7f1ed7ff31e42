"""The server of the live process: uvicorn, which ends all streams at once when it receives a signal."""

import asyncio
import logging
import time
from contextlib import suppress
from types import FrameType

import uvicorn

from relay.heartbeat import Pulse
from shop.control.ledger import verification
from shop.control.parked.progress import advance_redrives
from shop.control.sampler import SAMPLE_SECONDS, sample
from shop.live.application import Application
from shop.live.bookkeeper import Bookkeeper
from shop.live.database import DatabaseUnavailable

logger = logging.getLogger(__name__)

#: Seconds for streams to end after SIGTERM, before their connections are closed.
STOP_SECONDS = 3
#: Seconds between two steps of redrives.
REDRIVE_SECONDS = 1.0
#: Seconds between two heartbeats, with a look for redrives and for a requested verification.
LOOK_SECONDS = 2.5


class Server(uvicorn.Server):
    """uvicorn's server, which says goodbye on each stream at the first signal."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop the application, then the server. uvicorn calls this in the event loop's thread."""
        self._application.stop()
        super().handle_exit(sig, frame)


async def serve(host: str, port: int) -> None:
    """Serve on `host` and `port` until a signal."""
    application = Application()
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=5,
        backlog=4096,
    )
    application.start()
    loop = asyncio.get_running_loop()
    bookkeeper = Bookkeeper()
    bookkeeper.start()
    tasks = [loop.create_task(_sample(application)), loop.create_task(_keep_house(application))]
    await Server(config, application).serve()
    bookkeeper.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _sample(application: Application) -> None:
    """Take the samples of the control room, unless another live process takes them."""
    while True:
        step = SAMPLE_SECONDS
        try:
            step = await application.database.run(sample)
        except DatabaseUnavailable as error:
            logger.warning("no sample", extra={"error": str(error)})
        # All processes wait for the beginning of the next period.
        await asyncio.sleep(step - time.time() % step + 0.05)


async def _keep_house(application: Application) -> None:
    """Store heartbeats, continue staged redrives, and run requested verifications.

    One call looks for all of them, because a call costs more than its statements. Several live processes continue a
    redrive in turns, because its row is locked.
    """
    pulse, running = Pulse("live"), None

    def look(*, is_busy: bool) -> tuple[int, int | None]:
        pulse.beat()
        return advance_redrives(), None if is_busy else verification.take_requested()

    while True:
        active = 0
        try:
            is_busy = running is not None and not running.done()
            active, requested = await application.database.run(look, is_busy=is_busy)
            if requested is not None:
                running = asyncio.create_task(_verify(application, requested))
        except DatabaseUnavailable as error:
            logger.warning("redrives and verifications wait", extra={"error": str(error)})
        await asyncio.sleep(REDRIVE_SECONDS if active else LOOK_SECONDS)


async def _verify(application: Application, number: int) -> None:
    """Run a verification. If the database is away, another look takes the verification later."""
    with suppress(DatabaseUnavailable):
        await verification.run(application.database, number)

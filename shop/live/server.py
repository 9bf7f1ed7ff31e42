"""The server of the live process: uvicorn, which ends all streams at once when it receives a signal."""

import asyncio
import logging
import time
from contextlib import suppress
from types import FrameType

import uvicorn

from relay.heartbeat import Pulse
from shop.control.ledger.verification import run_requested
from shop.control.parked.progress import advance_redrives
from shop.control.sampler import SAMPLE_SECONDS, sample
from shop.live.application import Application
from shop.live.bookkeeper import Bookkeeper
from shop.live.database import DatabaseUnavailable

logger = logging.getLogger(__name__)

#: Seconds for streams to end after SIGTERM, before their connections are closed.
STOP_SECONDS = 3
BEAT_SECONDS = 2.0
#: Pauses between two steps of redrives, and between two looks for a redrive while none is active.
REDRIVE_SECONDS, LOOK_SECONDS = 1.0, 3.0
#: Pause between two looks for a requested verification.
REQUEST_SECONDS = 3.0


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
    works = (_beat(application), _sample(application), _redrive(application), _verify(application))
    tasks = [loop.create_task(work) for work in works]
    await Server(config, application).serve()
    bookkeeper.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _beat(application: Application) -> None:
    """Store heartbeats."""
    pulse = Pulse("live")
    while True:
        with suppress(DatabaseUnavailable):
            await application.database.run(pulse.beat)
        await asyncio.sleep(BEAT_SECONDS)


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


async def _redrive(application: Application) -> None:
    """Continue the staged redrives. Several live processes do so in turns, because each redrive's row is locked."""
    while True:
        active = 0
        try:
            active = await application.database.run(advance_redrives)
        except DatabaseUnavailable as error:
            logger.warning("redrives wait", extra={"error": str(error)})
        await asyncio.sleep(REDRIVE_SECONDS if active else LOOK_SECONDS)


async def _verify(application: Application) -> None:
    """Run the full verifications that staff or the schedule request."""
    while True:
        with suppress(DatabaseUnavailable):
            await run_requested(application.database)
        await asyncio.sleep(REQUEST_SECONDS)

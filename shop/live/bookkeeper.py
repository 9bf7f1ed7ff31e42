"""A thread that works on the ledger in rounds. It has its own database connection and its own reader of Kafka."""

import logging
import threading

from django.db import Error, close_old_connections

from shop.control.ledger.round import Ledger

logger = logging.getLogger(__name__)

#: Pause between two rounds.
PAUSE_SECONDS = 4.0


class Bookkeeper(threading.Thread):
    """Works until `stop`. It is a daemon: a round that waits for Kafka does not delay the end of the process."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        super().__init__(name="bookkeeper", daemon=True)
        self._ledger = ledger or Ledger()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End the thread after its current round."""
        self._stopping.set()

    def run(self) -> None:
        """Work in rounds. An error ends the round, and the next one repeats its work."""
        while not self._stopping.wait(PAUSE_SECONDS):
            self._work()
        try:
            self._ledger.stop()
        except Error:
            logger.info("the claim on the ledger could not be given up: it ends after some seconds")

    def _work(self) -> None:
        try:
            close_old_connections()
            self._ledger.work()
        except Error as error:
            logger.warning("no round of the ledger", extra={"error": str(error).strip()})
        except Exception:
            logger.exception("a round of the ledger failed")

"""A payment and a recorded doorbell, for tests of the work queue."""

from tests.payments.conftest import books, place, real_doorbell, rung  # noqa: F401

"""The client and the products of orders, for tests of the shared parts."""

from tests.orders.conftest import api, make_body, products  # noqa: F401

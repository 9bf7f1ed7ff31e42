"""The catalogue's fixtures for the pages of orders."""

from tests.catalogue.conftest import cart, mug, tent  # noqa: F401

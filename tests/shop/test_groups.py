"""`make test` runs all tests of a group in one process, so that each shop starts once."""

import os

import pytest

from tests.conftest import find_group


def test_pytest_xdist_knows_the_group_of_each_test(request: pytest.FixtureRequest) -> None:
    """The scheduler of pytest-xdist knows a test by its id only. The group is the end of the id, after an @."""
    ends = "@{}" if "PYTEST_XDIST_WORKER" in os.environ else ""
    wrong = [item.nodeid for item in request.session.items if not item.nodeid.endswith(ends.format(find_group(item)))]
    assert wrong == []

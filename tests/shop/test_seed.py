"""A run of the tests without SEED uses the same seed as CI, and prints it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("", "1"), ("4711", "4711")])
def test_the_seed_is_fixed_unless_one_is_given_and_is_shown(given: str | None, used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SEED"}
    environment |= {} if given is None else {"SEED": given}
    # Only the plugin with the seed: Django and the other plugins need seconds to load.
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = [sys.executable, "-m", "pytest", "-c", os.devnull, "--noconftest", "-p", "tests.plugin", "--collect-only"]
    run += ["--rootdir", str(ROOT), __file__]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert f"\nSEED={used} (SEED=$RANDOM draws other samples)\n" in f"\n{done.stdout}"

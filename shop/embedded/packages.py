"""Location of installed Python packages that contain programs, such as PostgreSQL. The package is not imported."""

from importlib.util import find_spec
from pathlib import Path


def find_package(name: str) -> Path:
    """Return the folder of the installed package `name`.

    :raises ModuleNotFoundError: the package is not installed.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed: run `make up`, which installs it", name=name)
    return Path(spec.origin).parent

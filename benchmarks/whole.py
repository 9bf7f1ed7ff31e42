"""The whole shop: waiting time of customers and processor time per order while all processes run.

    python -m benchmarks.whole [--rates 20,60,100] [--seconds 25] [--runs 1] [--no-highest] [--against REF] [--json]

The benchmark starts a shop with `manage.py up` and places orders over HTTP at a constant rate. Orders have one to three
lines and the token `tok_ok`, and half of them have a phone number. The time of an order begins when it is due, also if
the client sends it late because the shop was busy.

- post: milliseconds until the response to POST /api/v1/orders/. confirmed, sent: seconds from the placement until the
  order is confirmed, and until its last e-mail or text message is sent.
- CPU: milliseconds of processor time per order of all processes of the shop, without this client.
- The highest rate is sustained for 60 s: 99 % of the responses arrive within a second, and the number of unfinished
  orders does not grow.
- `--against REF` checks out another commit, runs the same measurement there in turns, and prints the ratios (this /
  REF). If the requirements differ, it creates a virtual environment below var/.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.whole_load import measure_highest, measure_idle, measure_rate
from benchmarks.whole_shop import WholeShop

BASE_DIR = Path(__file__).resolve().parent.parent
HALF = "half of the highest"
#: The figures of a rate, the heading of each in the table, and its format.
COLUMNS = {
    "post_p50_ms": ("post p50", ".1f"),
    "post_p95_ms": ("p95", ".0f"),
    "post_p99_ms": ("p99 ms", ".0f"),
    "confirmed_p50_s": ("conf. p50", ".2f"),
    "confirmed_p95_s": ("p95 s", ".2f"),
    "sent_p95_s": ("sent p95", ".2f"),
    "cpu_ms": ("CPU ms", ".1f"),
    "transactions": ("trans.", ".1f"),
    "wal_syncs": ("syncs", ".1f"),
}


def measure(shop: WholeShop, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of one running shop."""
    found: dict[str, Any] = {"rates": {}}
    measure_rate(shop, 20, 5)  # warm up connections, plans and caches
    for rate in options.rates:
        found["rates"][f"{rate:g}"] = measure_rate(shop, rate, options.seconds)
    found["idle"] = measure_idle(shop, 30)
    shop.manage("verify", "--wait", "60")
    if options.highest:
        found["highest"] = measure_highest(shop)
        found["rates"][HALF] = measure_rate(shop, found["highest"] / 2, options.seconds)
    return found


def find_median(runs: Sequence[Any]) -> Any:
    """Return the median of each figure of `runs`, which are nested dicts with the same keys."""
    if isinstance(runs[0], dict):
        return {name: find_median([run.get(name, 0.0) for run in runs]) for name in runs[0]}
    return statistics.median(runs)


@contextmanager
def check_out(ref: str) -> Iterator[Path]:
    """Yield a folder with a checkout of `ref`, and remove the folder after the block."""
    folder = BASE_DIR / "var" / "bench-against"
    subprocess.run(
        ["git", "worktree", "remove", "--force", str(folder)], cwd=BASE_DIR, capture_output=True, check=False
    )
    subprocess.run(["git", "worktree", "prune"], cwd=BASE_DIR, check=True)
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(folder), ref], cwd=BASE_DIR, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=BASE_DIR, check=True)


def find_python(tree: Path) -> str:
    """Return a Python with the requirements of `tree`: this one, or one in a virtual environment created for `tree`."""
    needed = (tree / "requirements.txt").read_text()
    if needed == (BASE_DIR / "requirements.txt").read_text():
        return sys.executable
    python = BASE_DIR / "var" / "bench-venv" / "bin" / "python"
    installed = python.parent.parent / "installed.txt"
    if not installed.exists() or installed.read_text() != needed:
        print("installing the requirements of the other commit", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parent.parent)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement"]
        subprocess.run([*install, str(tree / "requirements.txt")], check=True)
        installed.write_text(needed)
    return str(python)


def run(tree: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start the shop of `tree` once, and return its figures."""
    with WholeShop(tree, find_python(tree)).started() as shop:
        return measure(shop, options)


def print_report(name: str, found: dict[str, Any]) -> None:
    """Print the tables of the tree `name`."""
    print(f"\n{name}\n{'orders/s':<20}" + "".join(f"{heading:>10}" for heading, _ in COLUMNS.values()))
    for rate, figures in found["rates"].items():
        print(f"{rate:<20}" + "".join(f"{figures[key]:>10{form}}" for key, (_, form) in COLUMNS.items()))
    processes = sorted({part for figures in found["rates"].values() for part in figures["cpu_ms_by_process"]})
    print("\n" + f"{'CPU ms per order':<20}" + "".join(f"{part[:9]:>10}" for part in processes))
    for rate, figures in found["rates"].items():
        print(f"{rate:<20}" + "".join(f"{figures['cpu_ms_by_process'].get(part, 0):>10.2f}" for part in processes))
    idle = found["idle"]
    print(f"\nidle: {idle['cpu_percent']:.1f} % of a core, {idle['transactions_per_second']:.0f} transactions/s")
    shares = sorted(idle["cpu_percent_by_process"].items(), key=lambda item: -item[1])
    print("      " + ", ".join(f"{part} {percent:.1f} %" for part, percent in shares))
    if "highest" in found:
        print(f"highest rate for 60 s: {found['highest']:.0f} orders/s")


def print_ratios(here: dict[str, Any], there: dict[str, Any], ref: str) -> None:
    """Print each figure of this tree divided by the figure of the commit `ref`."""
    print(f"\nthis tree / {ref}\n{'orders/s':<20}" + "".join(f"{heading:>10}" for heading, _ in COLUMNS.values()))
    for rate, figures in here["rates"].items():
        ratios = [figures[key] / max(there["rates"][rate][key], 1e-9) for key in COLUMNS]
        print(f"{rate:<20}" + "".join(f"{ratio:>10.2f}" for ratio in ratios))
    print(f"idle CPU {here['idle']['cpu_percent'] / max(there['idle']['cpu_percent'], 1e-9):.2f}")
    if "highest" in here:
        print(f"highest rate {here['highest'] / there['highest']:.2f}")


def main() -> None:
    """Run the benchmark and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="20,60,100", help="orders per second, separated by commas")
    parser.add_argument("--seconds", type=float, default=25, help="duration of each measurement")
    parser.add_argument(
        "--runs",
        type=int,
        default=1,
        help="number of shops that are started one after the other; the tables show medians",
    )
    parser.add_argument(
        "--no-highest", dest="highest", action="store_false", help="skip the measurement of the highest rate"
    )
    parser.add_argument("--against", metavar="REF", help="commit to compare with")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    options.rates = [float(rate) for rate in options.rates.split(",") if rate]
    here, there = [], []
    if options.against:
        with check_out(options.against) as other:
            for _ in range(options.runs):
                there.append(run(other, options))
                here.append(run(BASE_DIR, options))
    else:
        here = [run(BASE_DIR, options) for _ in range(options.runs)]
    result = {"this": find_median(here)}
    if there:
        result["against"] = find_median(there)
        print_report(options.against, result["against"])
    print_report("this tree", result["this"])
    if there:
        print_ratios(result["this"], result["against"], options.against)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()

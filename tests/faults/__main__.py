"""Stops small runs at random moments, goes on with them, and counts what became of them."""

import argparse
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from tests.faults.runs import Ended, Started, same_weights

KINDS = {
    "kill": (signal.SIGKILL,),
    "signal": (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP),
}

WHOM = ("one", "ranks", "group")


def judged(number: signal.Signals, ended: Ended) -> str:
    """Return in a word how a process ended that was sent a signal."""
    if ended.code is None:
        return "hung"
    if ended.code == 0:
        return "finished before"
    if number != signal.SIGKILL and ended.traceback:
        return "traceback"
    return "stopped"


def stop_and_go_on(base: Path, ranks: int, numbers: list[signal.Signals], count: Counter) -> bool:
    """Stop a run by some signals in turn, let it finish; return whether its weights are those of the untouched run."""
    folder = base / f"run-{time.monotonic_ns()}"
    for number in numbers:
        begun, seconds = random.random() < 0.8, random.uniform(0, 4)
        whom = random.choice(WHOM)
        run = Started(folder, ranks)
        run.wait_until(begun, seconds)
        run.send(number, whom)
        ended = run.end()
        word = judged(number, ended)
        count[(number.name, ranks, whom, word)] += 1
        if word in ("hung", "traceback"):
            print(ended.output[-3000:], flush=True)
    ended = Started(folder, ranks).end()
    same = ended.code == 0 and same_weights(base / f"untouched-{ranks}", folder)
    if not same:
        print(folder, ended.code, ended.output[-3000:], flush=True)
    return same


def main() -> None:
    """Run the tries that the command line asks for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--tries_a_run", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    base = options.folder or Path(tempfile.mkdtemp())
    if Started(base / f"untouched-{options.ranks}", options.ranks).end().code != 0:
        raise SystemExit("the untouched run failed")
    count: Counter = Counter()
    same = []
    left = options.tries
    while left > 0:
        numbers = [
            random.choice(KINDS[options.kind]) for _ in range(min(left, options.tries_a_run))
        ]
        same.append(stop_and_go_on(base, options.ranks, numbers, count))
        left -= len(numbers)
        print(
            f"{sum(same)} of {len(same)} runs end as the untouched one; {left} tries left",
            flush=True,
        )
    rows = [(*key, tries) for key, tries in sorted(count.items())]
    print(tabulate(rows, ["signal", "ranks", "to", "outcome", "tries"], tablefmt="github"))
    raise SystemExit(not all(same) or any(key[-1] in ("hung", "traceback") for key in count))


if __name__ == "__main__":
    main()

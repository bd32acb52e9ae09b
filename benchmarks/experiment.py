"""The full experiment of notebook 11: every wiring, several seeds; `make experiment`.

Each finished run is kept in build/experiment, so that an interrupted experiment goes on where it
stopped; when all are there, the table in helpers/data is written. About a minute a run on two
cores. `--processes 2` runs two at a time with one thread each, which is faster at this size.
"""

import argparse
import multiprocessing
import os
import platform
import sys
import time
from pathlib import Path

import torch

from helpers.corpora.toy import splits
from helpers.lessons.wiring_experiment import RESULTS, Row, read_rows, run, write_rows
from helpers.lessons.wirings import WIRINGS

FOLDER = Path(__file__).parents[1] / "build" / "experiment"


def finished(wiring: str, seed: int, steps: int) -> Path:
    return FOLDER / f"{wiring.replace(' ', '_')}-{seed}-{steps}.csv"


def one(job: tuple[str, int, int, int]) -> str:
    wiring, seed, steps, threads = job
    torch.set_num_threads(threads)
    started = time.perf_counter()
    rows = run(wiring, seed, splits(), steps)
    write_rows(finished(wiring, seed, steps), rows)
    exact = next(r.value for r in rows if r.measure == "exact_match" and r.at == "all")
    seconds = time.perf_counter() - started
    return f"{wiring}, seed {seed}: exact match {exact:.1%}, {seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wirings", nargs="+", choices=list(WIRINGS), default=list(WIRINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(str(RESULTS)))
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    jobs = [(w, s) for s in arguments.seeds for w in arguments.wirings]
    threads = max(1, (os.cpu_count() or 1) // arguments.processes)
    missing = [
        (w, s, arguments.steps, threads)
        for w, s in jobs
        if not finished(w, s, arguments.steps).exists()
    ]
    print(f"{len(jobs)} runs, {len(jobs) - len(missing)} of them done before", flush=True)
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for count, line in enumerate(pool.imap_unordered(one, missing), start=1):
            print(f"[{count}/{len(missing)}] {line}", flush=True)
    rows: list[Row] = []
    for w, s in jobs:
        rows += read_rows(finished(w, s, arguments.steps))[0]
    command = " ".join(["python -m benchmarks.experiment", *sys.argv[1:]])
    comments = [
        "Notebook 11's experiment; helpers/lessons/wiring_experiment.py explains the columns",
        f"command: {command}",
        f"torch {torch.__version__}, Python {platform.python_version()}, {arguments.steps} steps",
    ]
    write_rows(arguments.output, rows, comments)
    print(f"{len(rows)} numbers written to {arguments.output.name}")


if __name__ == "__main__":
    main()

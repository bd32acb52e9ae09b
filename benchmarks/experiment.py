"""The full experiment of notebook 11: every wiring, several seeds; `make experiment`.

    python -m benchmarks.experiment                        the embedded corpus, one learning rate
    python -m benchmarks.experiment --rates 2.5e-3 1e-2    the same at two other learning rates
    python -m benchmarks.experiment --task nested          long sentences, a deep and narrow model
    python -m benchmarks.experiment --task multi30k        real sentences, if they are there
    python -m benchmarks.experiment --write                only the table, of all that is finished

Each finished run is kept in build/experiment, so that an interrupted experiment goes on where it
stopped; at the end the table in helpers/data is written from all finished runs. A run takes one
to four minutes on one core. `--processes 2` runs two at a time with one thread each, which is
faster at this size.
"""

import argparse
import multiprocessing
import platform
import shlex
import time
from functools import cache
from pathlib import Path

import torch

from helpers.corpora import multi30k
from helpers.corpora.toy import splits
from helpers.corpora.toy_nested import nested_splits
from helpers.lessons.wiring_experiment import (
    RATE,
    RESULTS,
    Row,
    Task,
    on_corpus,
    on_multi30k,
    on_nested,
    read_rows,
    run,
    write_rows,
)
from helpers.lessons.wirings import WIRINGS

FOLDER = Path(__file__).parents[1] / "build" / "experiment"
TASKS = {
    "corpus": lambda: on_corpus(splits()),
    "nested": lambda: on_nested(nested_splits()),
    "multi30k": lambda: on_multi30k(multi30k.load()),
}
CONTROLS = ("shuffled", "none")  # no learning rate helps a model that cannot see its sentence
UNEVEN = ("layer by layer",)  # asks for as many decoder as encoder layers
SWEPT = [wiring for wiring in WIRINGS if wiring not in CONTROLS]
Job = tuple[str, str, float, int]  # task, wiring, learning rate, seed


@cache
def task_of(name: str) -> Task:
    return TASKS[name]()


def finished(job: Job) -> Path:
    task, wiring, rate, seed = job
    return FOLDER / f"{task}-{wiring.replace(' ', '_')}-{rate:g}-{seed}.csv"


def one(work: tuple[Job, int]) -> str:
    job, threads = work
    task, wiring, rate, seed = job
    torch.set_num_threads(threads)
    started = time.perf_counter()
    rows = run(wiring, seed, task_of(task), rate=rate)
    write_rows(finished(job), rows)
    scores = [f"{r.measure} {r.value:.4g}" for r in rows if r.at == "all"]
    took = time.perf_counter() - started
    return f"{task}, {wiring}, rate {rate:g}, seed {seed}: {', '.join(scores)}; {took:.0f} s"


def jobs_of(arguments: argparse.Namespace) -> list[Job]:
    """All combinations that are asked for and make sense, the first seed of all first."""
    wirings = arguments.wirings
    if arguments.task != "corpus":
        wirings = [w for w in wirings if w not in (*CONTROLS, *UNEVEN)]
    return [
        (arguments.task, wiring, rate, seed)
        for seed in arguments.seeds
        for rate in arguments.rates
        for wiring in wirings
        if rate == RATE or wiring not in CONTROLS
    ]


def train_all(jobs: list[Job], processes: int) -> None:
    """Do what is missing, and say how far it is and about how long the rest takes."""
    threads = max(1, torch.get_num_threads() // processes)
    missing = [(job, threads) for job in jobs if not finished(job).exists()]
    print(f"{len(jobs)} runs, {len(jobs) - len(missing)} of them done before", flush=True)
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for count, line in enumerate(pool.imap_unordered(one, missing), start=1):
            left = (time.perf_counter() - began) / count * (len(missing) - count) / 60
            print(f"[{count}/{len(missing)}] {line}; {left:.0f} min left", flush=True)


def kept(row: Row) -> bool:
    """Whether the table holds this number: of the gradients, only those that are drawn."""
    if row.measure == "position_gradient":  # of the first two reports
        return row.rate == RATE and row.at.split(":")[0] in ("0", "250")
    return row.rate == RATE or "gradient" not in row.measure


def commands(rows: list[Row]) -> list[str]:
    """The commands that made these rows, one for each task and set of wirings."""
    wirings: dict[tuple[str, float], dict[str, None]] = {}
    for row in rows:
        wirings.setdefault((row.task, row.rate), {})[row.wiring] = None
    rates: dict[tuple[str, ...], list[str]] = {}
    for (task, rate), names in wirings.items():
        rates.setdefault((task, *names), []).append(f"{rate:g}")
    command = "command: python -m benchmarks.experiment"
    return [
        f"{command} --task {task} --rates {' '.join(some)} --wirings {shlex.join(names)}"
        for (task, *names), some in rates.items()
    ]


def write(output: Path) -> None:
    """The table of all finished runs, in a fixed order."""
    order = {name: i for i, name in enumerate((*TASKS, *WIRINGS))}
    rows: list[Row] = []
    for path in FOLDER.glob("*.csv"):
        rows += filter(kept, read_rows(path)[0])
    rows.sort(key=lambda r: (order[r.task], r.rate, order[r.wiring], r.seed))
    comments = [
        "Notebook 11's experiment; helpers/lessons/wiring_experiment.py explains the columns",
        *commands(rows),
        f"torch {torch.__version__}, Python {platform.python_version()}",
    ]
    write_rows(output, rows, comments)
    print(f"{len(rows)} numbers written to {output.name}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=list(TASKS), default="corpus")
    parser.add_argument("--wirings", nargs="+", choices=list(WIRINGS), default=list(WIRINGS))
    parser.add_argument("--rates", type=float, nargs="+", default=[RATE])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="train nothing, write the table")
    parser.add_argument("--output", type=Path, default=Path(str(RESULTS)))
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not arguments.write:
        train_all(jobs_of(arguments), arguments.processes)
    write(arguments.output)


if __name__ == "__main__":
    main()

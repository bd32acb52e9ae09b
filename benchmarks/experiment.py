"""The full experiment of notebook 11: every wiring, several seeds; `make experiment`.

    python -m benchmarks.experiment                                     everything in the table
    python -m benchmarks.experiment --task nested --seeds 3 4           more seeds of one task
    python -m benchmarks.experiment --task corpus --rates 2e-2 --wirings recurrent mean
    python -m benchmarks.experiment --write            only the table, from all finished runs

Each finished run is kept in build/experiment, so that an interrupted experiment goes on where it
stopped; at the end the table in helpers/data is written from all finished runs. A run takes about
a minute of one core, and of "multi30k longer" about four. `--processes 2` runs two at a time with
one thread each, which is faster at this size. Multi30k is left out if it is not available. A few
of its translations are kept, too.
"""

import argparse
import multiprocessing
import platform
import time
from functools import cache
from pathlib import Path

import torch

from helpers.corpora import multi30k
from helpers.corpora.toy import splits
from helpers.corpora.toy_nested import nested_splits
from helpers.files import write_table, write_text
from helpers.lessons.wiring_experiment import (
    RATE,
    RESULTS,
    SAID,
    SPEAKERS,
    Row,
    Task,
    longer,
    on_corpus,
    on_multi30k,
    on_nested,
    read_rows,
    run,
    write_rows,
)
from helpers.lessons.wirings import RECURRENT, WIRINGS

FOLDER = Path(__file__).parents[1] / "build" / "experiment"
TASKS = {
    "corpus": lambda: on_corpus(splits()),
    "nested": lambda: on_nested(nested_splits()),
    "multi30k": lambda: on_multi30k(multi30k.load()),
    "multi30k longer": lambda: longer(on_multi30k(multi30k.load())),
}
# What the table holds: of each task, which wirings, at which learning rates.
PLAN = (
    ("corpus", tuple(WIRINGS), (RATE,)),
    ("corpus", ("full", "mean", *RECURRENT), (2.5e-3, 1e-2)),
    ("nested", ("full", "first only", "last only"), (RATE,)),
    ("multi30k", ("full", "first only", "last only", "mean", *RECURRENT), (RATE,)),
    ("multi30k longer", ("full", RECURRENT[1]), (RATE, 2.5e-3)),
)
Job = tuple[str, str, float, int]  # task, wiring, learning rate, seed


@cache
def task_of(name: str) -> Task:
    return TASKS[name]()


def finished(job: Job) -> Path:
    task, wiring, rate, seed = job
    return FOLDER / f"{task}-{wiring}-{rate:g}-{seed}.csv".replace(" ", "_")


def translated(job: Job) -> Path:
    return finished(job).with_suffix(".txt")


def one(work: tuple[Job, int]) -> str:
    job, threads = work
    task, wiring, rate, seed = job
    torch.set_num_threads(threads)
    started = time.perf_counter()
    rows = run(
        *(wiring, seed, task_of(task)),
        rate=rate,
        keep=lambda said: write_text(translated(job), "\n".join(said) + "\n"),
    )
    write_rows(finished(job), rows)
    scores = [f"{r.measure} {r.value:.4g}" for r in rows if r.at == "all"]
    took = time.perf_counter() - started
    return f"{task}, {wiring}, rate {rate:g}, seed {seed}: {', '.join(scores)}; {took:.0f} s"


def jobs_of(arguments: argparse.Namespace) -> list[Job]:
    """What is asked for, the first seed of everything first."""
    jobs = [
        (task, wiring, rate, seed)
        for seed in arguments.seeds
        for task, wirings, rates in PLAN
        if task in arguments.task
        for rate in arguments.rates or rates
        for wiring in arguments.wirings or wirings
    ]
    return list(dict.fromkeys(jobs))


def at_hand(task: str) -> bool:
    """Whether the task's sentences are there; if not, prints why."""
    try:
        return "multi30k" not in task or bool(multi30k.load())
    except (OSError, ValueError) as error:
        print(f"{error}\nGoing on without it; its numbers in the table stay as they are.")
        return False


def train_all(jobs: list[Job], processes: int) -> None:
    """Do the missing runs, and print how far this is and about how long the rest will take."""
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


def write(output: Path) -> None:
    """Write the table: all finished runs, in a fixed order, and what it held of other tasks."""
    order = {name: i for i, name in enumerate((*TASKS, *WIRINGS))}
    rows: list[Row] = []
    for path in FOLDER.glob("*.csv"):
        rows += filter(kept, read_rows(path)[0])
    if output.is_file():
        made = {row.task for row in rows}
        rows += [row for row in read_rows(output)[0] if row.task not in made]
    rows.sort(key=lambda r: (order[r.task], r.rate, order[r.wiring], r.seed))
    comments = [
        "Notebook 11's experiment; helpers/lessons/wiring_experiment.py explains the columns",
        "command: python -m benchmarks.experiment",
        f"torch {torch.__version__}, Python {platform.python_version()}",
    ]
    write_rows(output, rows, comments)
    print(f"{len(rows)} numbers written to {output.name}")


def write_said(output: Path) -> None:
    """Write the first three test sentences of 12 to 14 words with their translations by seed 0.

    If these runs, or Multi30k, are not there, the file stays as it is.
    """
    runs = {wiring: translated(("multi30k", wiring, RATE, 0)) for wiring in SPEAKERS}
    if not all(path.is_file() for path in runs.values()) or not at_hand("multi30k"):
        return
    pairs = multi30k.load().test
    shown = [i for i, (german, _) in enumerate(pairs) if 12 <= len(german.split()) <= 14][:3]
    said = {wiring: path.read_text("utf8").splitlines() for wiring, path in runs.items()}
    rows: list[tuple[str, str]] = []
    for i in shown:
        rows += [("German", pairs[i][0]), ("human", pairs[i][1].lower())]
        rows += [(wiring, sentences[i]) for wiring, sentences in said.items()]
    comments = [
        "test sentences of Multi30k (Elliott et al. 2016), and what notebook 11's models say",
        "command: python -m benchmarks.experiment",
    ]
    write_table(output, ("by", "text"), rows, comments)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--wirings", nargs="+", choices=list(WIRINGS))
    parser.add_argument("--rates", type=float, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="train nothing, write the table")
    parser.add_argument("--output", type=Path, default=Path(str(RESULTS)))
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not arguments.write:
        arguments.task = [task for task in arguments.task if at_hand(task)]
        train_all(jobs_of(arguments), arguments.processes)
    write(arguments.output)
    write_said(arguments.output.with_name(SAID.name))


if __name__ == "__main__":
    main()

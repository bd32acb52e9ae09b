"""BLEU on Multi30k from random weights: after 10, 30 and 60 minutes, and what each trick gave.

    make benchmark-multi30k              all runs that are not there yet, then the table
    python -m benchmarks.multi30k --show the table as it is committed

Each run is the command `python -m helpers.trainer …`, kept in build/multi30k; what is finished is
not repeated, what was interrupted goes on. The budgets run one at a time with the whole machine;
the tricks change one thing each and have the base run's number of steps, so they may run side by
side (--side-by-side 2, a thread each). All choices are made on the validation set; the test set is
scored once a run. The result is helpers/data/multi30k.csv.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from benchmarks.timing import machine
from helpers.files import write_table
from helpers.trainer.runs import RESULTS, read_results

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "multi30k"

BASE = "--vocabulary 8000 --learning-rate 4e-3 --dropout 0.1"
BUDGETS = {  # the longer a model reads the same sentences, the more dropout it needs
    "10 minutes": f"--minutes 10 {BASE}",
    "30 minutes": f"--minutes 30 {BASE} --dropout 0.2",
    "60 minutes": f"--minutes 60 {BASE} --dropout 0.25",
}
# Fixed for the tricks: left to itself each run would measure, and might choose differently.
SHORT = f"--steps 1000 {BASE} --precision bfloat16 --kernel formula"
TRICKS = {  # what is taken away or added, and the options that do it; the last of two counts
    "base": "",
    "another seed": "--seed 1",  # how far two runs of one command differ
    "4,000 pieces instead of 8,000": "--vocabulary 4000",
    "16,000 pieces instead of 8,000": "--vocabulary 16000",
    "no dropout": "--dropout 0",
    "post-norm instead of pre-norm": "--norm post",
    "three embeddings instead of one": "--untied",
    "no label smoothing": "--smoothing 0",
    "1 in 20 merges dropped": "--drop-merges 0.05",
}


def folder_of(name: str) -> Path:
    return FOLDER / "".join(c if c.isalnum() else "-" for c in name)


def train(name: str, options: str, threads: int | None = None) -> dict:
    """Run, resume or skip one training; its result."""
    out = folder_of(name)
    if not (out / "result.json").is_file():
        resumed = (out / "settings.json").is_file()
        more = ["--resume"] if resumed else options.split()
        environment = dict(os.environ)
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        print(f"{name}: {'resuming' if resumed else 'training'}", flush=True)
        command = [sys.executable, "-m", "helpers.trainer", "--out", str(out), *more]
        log = FOLDER / f"{out.name}.log"
        with log.open("a", encoding="utf8") as file:
            subprocess.run(command, cwd=ROOT, env=environment, stdout=file, check=True)
    result = json.loads((out / "result.json").read_text(encoding="utf8"))
    print(
        f"{name}: validation {max(result['validation'].values()):.2f}, "
        f"test {result['test beam']['lc']:.2f}, {result['minutes']:.1f} min",
        flush=True,
    )
    return result


def rows_of(kind: str, name: str, result: dict) -> list[tuple]:
    """(kind, name, measure, at, value) of one run."""
    rows = [
        (kind, name, "minutes", "", result["minutes"]),
        (kind, name, "minutes in all", "", result["minutes in all"]),
        (kind, name, "steps", "", result["steps"]),
        (kind, name, "parameters", "", result["parameters"]),
    ]
    rows += [(kind, name, "validation beam", at, v) for at, v in result["validation"].items()]
    for search in ("test beam", "test greedy"):
        rows += [(kind, name, search, at, result[search][at]) for at in ("lc", "cased")]
    for line in (folder_of(name) / "log.jsonl").read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        minutes = f"{row['seconds'] / 60:.2f}"
        rows.append((kind, name, "validation greedy", minutes, row["bleu"]))
    return rows


def write(rows: list[tuple], signatures: list[str]) -> None:
    made = {row[1] for row in rows}
    comments = [
        f"{date.today()}, {machine()}",
        "made by: make benchmark-multi30k (BLEU on Multi30k, German to English)",
        *(f"{n}: python -m helpers.trainer {o}" for n, o in BUDGETS.items() if n in made),
        *(f"{n}: {SHORT} {o}".strip() for n, o in TRICKS.items() if n in made),
        *signatures,
    ]
    header = ("kind", "name", "measure", "at", "value")
    table = [(*row[:4], f"{row[4]:.6g}") for row in rows]
    write_table(Path(str(RESULTS)), header, table, comments)


def show() -> None:
    """The committed table, with the facts that it was made with."""
    rows, comments = read_results()
    print("\n".join(comments), "\n")
    value = {(r["name"], r["measure"], r["at"]): float(r["value"]) for r in rows}

    def line(name: str) -> str:
        best = max(v for (n, m, _), v in value.items() if n == name and m == "validation beam")
        beam, cased, greedy = (
            value[name, f"test {search}", kind]
            for search, kind in (("beam", "lc"), ("beam", "cased"), ("greedy", "lc"))
        )
        return (
            f"{name:34s} {value[name, 'minutes', '']:6.1f} min  validation {best:5.2f}  "
            f"test, beam {beam:5.2f} ({cased:5.2f} cased)  greedy {greedy:5.2f}"
        )

    print("\n".join(line(name) for name in BUDGETS if (name, "minutes", "") in value), "\n")
    best = {
        name: max(v for (n, m, _), v in value.items() if (n, m) == (name, "validation beam"))
        for name in TRICKS
        if (name, "minutes", "") in value
    }
    for name in best:
        print(f"{line(name)}  {best[name] - best['base']:+.2f} on validation")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", action="store_true", help="only print the committed table")
    parser.add_argument("--side-by-side", type=int, default=1, help="tricks that run at a time")
    parser.add_argument("--budgets", nargs="*", default=list(BUDGETS), choices=list(BUDGETS))
    parser.add_argument("--tricks", nargs="*", default=list(TRICKS), choices=list(TRICKS))
    arguments = parser.parse_args()
    if not arguments.show:
        FOLDER.mkdir(parents=True, exist_ok=True)
        results = {("budget", n): train(n, BUDGETS[n]) for n in arguments.budgets}
        threads = max(1, (os.cpu_count() or 1) // arguments.side_by_side)
        with ThreadPoolExecutor(arguments.side_by_side) as pool:
            jobs = {
                name: pool.submit(train, name, f"{SHORT} {TRICKS[name]}", threads)
                for name in arguments.tricks
            }
            results |= {("trick", name): job.result() for name, job in jobs.items()}
        rows = [r for (kind, name), result in results.items() for r in rows_of(kind, name, result)]
        some = next(iter(results.values()))["test beam"]
        signatures = [f"lc: {some['lc signature']}", f"cased: {some['cased signature']}"]
        write(rows, signatures)
    show()


if __name__ == "__main__":
    main()

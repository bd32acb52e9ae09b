"""BLEU on Multi30k from random weights: after 10, 30 and 60 minutes, and what each trick gave.

    make benchmark-multi30k                  all runs that are still missing, then the tables
    python -m benchmarks.multi30k --budgets  only the tricks
    python -m benchmarks.multi30k --show     the tables as they are committed
    python -m benchmarks.multi30k --keep RUN ten translations and a map of this finished run

Each run is the command `python -m helpers.trainer …`, kept in build/multi30k. A finished run is not
repeated, and an interrupted one goes on where it stopped. The budgets run one at a time with the
whole machine. The tricks change one thing each in a model small enough to be trained several times,
so that their effect can be told from that of the seed; they may run side by side (--side-by-side 2,
a thread each). All choices are made on the validation set, and the test set is scored once a run.
The results are helpers/data/multi30k.csv and helpers/data/tricks.csv. What --keep takes from a run,
so that notebook 13 can show it without training for ten minutes, is helpers/data/kept_run.json.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import mean

from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

from benchmarks.timing import machine
from helpers.corpora import multi30k
from helpers.decoding import cross_attention_maps
from helpers.evaluation import bleu
from helpers.files import write_table
from helpers.trainer.runs import load_run, read_results

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "multi30k"

BASE = "--vocabulary 8000 --learning-rate 4e-3 --dropout 0.1"
BUDGETS = {  # the longer a model reads the same sentences, the more dropout it needs
    "10 minutes": f"--minutes 10 {BASE}",
    "30 minutes": f"--minutes 30 {BASE} --dropout 0.2",
    "60 minutes": f"--minutes 60 {BASE} --dropout 0.25",
}
# A model that trains in minutes. Precision and kernel are fixed, because each run left to itself
# would measure, and might choose differently.
SMALL = (
    "--steps 500 --vocabulary 4000 --d-model 64 --d-ff 256 --encoder-layers 2 --decoder-layers 2 "
    "--learning-rate 4e-3 --dropout 0.1 --reports 2 --average 0 "
    "--precision float32 --kernel formula --engine eager"
)
TRICKS = {  # what is taken away or added, and the options that do it; the last of two counts
    "base": "",
    "half as many pieces": "--vocabulary 2000",
    "twice as many pieces": "--vocabulary 8000",
    "no dropout": "--dropout 0",
    "no label smoothing": "--smoothing 0",
    "three embeddings instead of one": "--untied",
    "1 in 20 merges dropped": "--drop-merges 0.05",
    "post-norm": "--norm post",
    "a quarter of the learning rate": "--learning-rate 1e-3",
    "post-norm and a quarter of the rate": "--norm post --learning-rate 1e-3",
}
SEEDS = (0, 1, 2)


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


def rows_of(name: str, result: dict) -> list[tuple]:
    """(name, measure, at, value) of one budget's run."""
    rows = [
        (name, "minutes", "", result["minutes"]),
        (name, "minutes in all", "", result["minutes in all"]),
        (name, "steps", "", result["steps"]),
        (name, "parameters", "", result["parameters"]),
    ]
    rows += [(name, "validation beam", at, v) for at, v in result["validation"].items()]
    for search in ("test beam", "test greedy"):
        rows += [(name, search, at, result[search][at]) for at in ("lc", "cased")]
    for line in (folder_of(name) / "log.jsonl").read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        minutes = f"{row['seconds'] / 60:.2f}"
        rows.append((name, "validation greedy", minutes, row["bleu"]))
    return rows


def translations_of(name: str) -> list[str]:
    return (folder_of(name) / "test.txt").read_text(encoding="utf8").splitlines()


def by_chance(name: str, base: str, references: list[str]) -> float:
    """How often a difference as large as theirs appears by chance (paired bootstrap, 1,000 draws).

    Source: Koehn 2004, in sacreBLEU's implementation.
    """
    systems = [("base", translations_of(base)), ("trick", translations_of(name))]
    metrics = {"BLEU": BLEU(lowercase=True, references=[references])}
    test = PairedTest(systems, metrics, references=None, test_type="bs", n_samples=1000)
    _, scores = test()
    return scores["BLEU"][1].p_value


def rows_of_tricks(results: dict[tuple[str, int], dict]) -> list[tuple]:
    """(name, measure, seed, value): each trick next to the base of the same seed."""
    references = [english for _, english in multi30k.load().test]
    rows = []
    for (name, seed), result in results.items():
        rows.append((name, "minutes", seed, result["minutes"]))
        rows.append((name, "test beam, lower-cased", seed, result["test beam"]["lc"]))
        if name != "base":
            runs = trick_run(name, seed), trick_run("base", seed)
            rows.append((name, "by chance", seed, by_chance(*runs, references)))
    return rows


def place_of(run: tuple[str, int]) -> tuple[int, int]:
    return list(TRICKS).index(run[0]), run[1]


def trick_run(name: str, seed: int) -> str:
    return f"{name}, seed {seed}"


def write(table: str, rows: list[tuple], comments: list[str], result: dict) -> None:
    facts = [
        f"{date.today()}, {machine()}",
        "made by: make benchmark-multi30k (BLEU on Multi30k, German to English)",
        *comments,
        *(f"{kind}: {result['test beam'][f'{kind} signature']}" for kind in ("lc", "cased")),
    ]
    shortened = [(*row[:3], f"{row[3]:.6g}") for row in rows]
    path = ROOT / "helpers" / "data" / f"{table}.csv"
    write_table(path, ("name", "measure", "at", "value"), shortened, facts)


def show() -> None:
    """Print the committed tables, and what they were made with."""
    rows, comments = read_results("multi30k")
    print("\n".join(comments), "\n")
    value = {(r["name"], r["measure"], r["at"]): float(r["value"]) for r in rows}
    for name in dict.fromkeys(r["name"] for r in rows):
        best = max(v for (n, m, _), v in value.items() if (n, m) == (name, "validation beam"))
        beam, cased, greedy = (
            value[name, f"test {search}", kind]
            for search, kind in (("beam", "lc"), ("beam", "cased"), ("greedy", "lc"))
        )
        print(
            f"{name:34s} {value[name, 'minutes', '']:6.1f} min  validation {best:5.2f}  "
            f"test, beam {beam:5.2f} ({cased:5.2f} cased)  greedy {greedy:5.2f}"
        )
    rows, comments = read_results("tricks")
    print("\n", "\n".join(comments), "\n", sep="")
    value = {(r["name"], r["measure"], r["at"]): float(r["value"]) for r in rows}
    for name in dict.fromkeys(r["name"] for r in rows):
        seeds = [s for (n, m, s) in value if (n, m) == (name, "minutes")]
        scores = [value[name, "test beam, lower-cased", s] for s in seeds]
        line = f"{name:36s} BLEU " + " ".join(f"{score:5.2f}" for score in scores)
        if name != "base":
            base = [value["base", "test beam, lower-cased", s] for s in seeds]
            changes = [a - b for a, b in zip(scores, base, strict=True)]
            chances = [value[name, "by chance", s] for s in seeds]
            line += f"  change {mean(changes):+5.2f} (" + " ".join(f"{c:+.2f}" for c in changes)
            line += ")  by chance " + " ".join(f"{p:.3f}" for p in chances)
        print(line)


def keep(run: Path) -> None:
    """Ten translations of a run, from good to bad, and where its decoder looked in another one.

    Neither is picked by hand. The ten are evenly spaced when the short sentences of the test set
    are put in order by their own BLEU. The map is that of the best translation of a still shorter
    sentence with a word that is cut into three pieces or more.
    """
    settings = json.loads((run / "settings.json").read_text(encoding="utf8"))
    result = json.loads((run / "result.json").read_text(encoding="utf8"))
    test = multi30k.load().test
    said = (run / "test.txt").read_text(encoding="utf8").splitlines()
    both = zip(said, test, strict=True)
    scores = [bleu([ours], [human], lowercase=True)[0] for ours, (_, human) in both]
    short = [i for i, (german, _) in enumerate(test) if 6 <= len(german.split()) <= 12]
    ranked = sorted(short, key=lambda i: -scores[i])
    ten = [ranked[round(k * (len(ranked) - 1) / 9)] for k in range(10)]
    model, vocabulary = load_run(run)

    def pieces_in_a_word(i: int) -> int:
        return max(len(vocabulary.pieces(word)) for word in test[i][0].split())

    cut = [i for i in short if len(test[i][0].split()) <= 8 and pieces_in_a_word(i) >= 3]
    chosen = max(cut, key=scores.__getitem__)
    german, english = test[chosen][0], said[chosen].lower()
    maps = cross_attention_maps(model, vocabulary, german, english)
    kept = {
        "made by": f"python -m benchmarks.multi30k --keep RUN, {date.today()}",
        "run": f"{settings['steps']:,} steps, {result['parameters']:,} parameters",
        "signature": result["test beam"]["lc signature"],
        "BLEU": round(result["test beam"]["lc"], 1),
        "translations": [[i, round(scores[i], 1), said[i]] for i in ten],
        "map": {
            "source": [*vocabulary.pieces(german), "<eos>"],
            "target": [*vocabulary.pieces(english), "<eos>"],
            "weights": [
                [round(w, 3) for w in row] for row in [*maps.values()][-1].mean(0).tolist()
            ],
        },
    }
    path = ROOT / "helpers" / "data" / "kept_run.json"
    path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf8")
    print(f"{path.relative_to(ROOT)}: BLEU {kept['BLEU']}, ten translations and a map")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", action="store_true", help="only print the committed table")
    parser.add_argument("--side-by-side", type=int, default=1, help="tricks that run at a time")
    parser.add_argument("--budgets", nargs="*", default=list(BUDGETS), choices=list(BUDGETS))
    parser.add_argument("--tricks", nargs="*", default=list(TRICKS), choices=list(TRICKS))
    parser.add_argument("--keep", type=Path, metavar="RUN", help="the folder of a finished run")
    arguments = parser.parse_args()
    if arguments.keep:
        keep(arguments.keep)
        return
    if not arguments.show:
        FOLDER.mkdir(parents=True, exist_ok=True)
        done = {name: train(name, BUDGETS[name]) for name in arguments.budgets}
        if done:
            rows = [row for name, result in done.items() for row in rows_of(name, result)]
            commands = [f"{name}: python -m helpers.trainer {BUDGETS[name]}" for name in done]
            write("multi30k", rows, commands, next(iter(done.values())))
        threads = max(1, (os.cpu_count() or 1) // arguments.side_by_side)
        with ThreadPoolExecutor(arguments.side_by_side) as pool:
            jobs = {}
            names = dict.fromkeys(["base", *arguments.tricks]) if arguments.tricks else {}
            for seed in SEEDS:  # the first seed of everything first
                for name in names:
                    options = f"{SMALL} {TRICKS[name]} --seed {seed}"
                    jobs[name, seed] = pool.submit(train, trick_run(name, seed), options, threads)
            tried = {run: jobs[run].result() for run in sorted(jobs, key=place_of)}
        if tried:
            commands = [f"base: python -m helpers.trainer {SMALL}"]
            commands += [f"{n}: {TRICKS[n]}" for n in names if n != "base"]
            write("tricks", rows_of_tricks(tried), commands, next(iter(tried.values())))
    show()


if __name__ == "__main__":
    main()

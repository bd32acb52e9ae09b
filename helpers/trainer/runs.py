"""Start a training run from Python and read what a run has left in its folder."""

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

from helpers.checkpoints import load_model
from helpers.files import read_table
from helpers.subwords import Subwords
from helpers.transformer import Transformer


def launch(*options: object, processes: int = 1) -> None:
    """Run `python -m helpers.trainer` with these options and show its lines as they come.

    Several processes are started by torchrun, with one thread each. Raises RuntimeError if it
    fails.
    """
    root = Path(__file__).parents[2]
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(root), os.environ.get("PYTHONPATH")))
    )
    launcher = ["-m"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc-per-node={processes}", "-m"]
        environment["OMP_NUM_THREADS"] = "1"
    environment["PYTHONIOENCODING"] = "utf8"  # whatever the locale, both ends use the same
    arguments = [sys.executable, *launcher, "helpers.trainer", *map(str, options)]
    with subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf8",
        errors="replace",
    ) as process:
        said = []
        for line in process.stdout or ():
            said.append(line)
            print(line, end="", flush=True)
    if process.returncode:
        raise RuntimeError(f"helpers.trainer ended with {process.returncode}: {''.join(said[-5:])}")


# What a run leaves when it has finished.
FINISHED = ("model.safetensors", "result.json", "test.txt", "bleu.png", "loss.png")


def history_of(folder: str | Path) -> list[dict]:
    """The reports of a run so far, one row for each; none before it has made its first.

    A folder that does not exist yet has none either, so that you can wait for a run to begin.
    """
    path = Path(folder) / "log.jsonl"
    lines = path.read_text(encoding="utf8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def load_run(folder: str | Path) -> tuple[Transformer, Subwords]:
    """The chosen model of a finished run, or the best one so far, and its vocabulary.

    Raises FileNotFoundError if the folder holds no run, or one without a model.
    """
    folder = Path(folder)
    for name in ("model.safetensors", "best.safetensors"):
        if (folder / name).is_file():
            return load_model(folder / name), Subwords.load(folder / "vocabulary.json")
    if (folder / "settings.json").is_file():
        raise FileNotFoundError(
            f"the run in {str(folder)!r} has no model yet; its first report saves one"
        )
    raise FileNotFoundError(
        f"{str(folder)!r} holds no run; name the folder that --out named when it was trained"
    )


def read_kept_run() -> dict:
    """Of a run of ten minutes: "BLEU", "signature", ten "translations", a "map" of cross-attention.

    A translation is [place in Multi30k's test set, its own BLEU, the text]. The map has the pieces
    of "source" and "target", and "weights" (target, source). Made by benchmarks/multi30k.py.
    """
    text = (resources.files("helpers") / "data" / "kept_run.json").read_text(encoding="utf8")
    return json.loads(text)


def read_results(table: str = "multi30k") -> tuple[list[dict[str, str]], list[str]]:
    """(rows, comments) of a committed benchmark, "multi30k" or "tricks": name, measure, at, value.

    Raises FileNotFoundError that says how to make it.
    """
    path = resources.files("helpers") / "data" / f"{table}.csv"
    return read_table(path, "make benchmark-multi30k")

"""The parts of a training run on files: texts, measuring the machine, reports, the final score.

Used by `python -m helpers.train` and in notebook 13; the run's folder is described in train.py.
"""

import argparse
import copy
import ctypes
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path

from torch import nn

from helpers import multi30k
from helpers.attention import MultiHeadAttention
from helpers.batching import Batch
from helpers.checkpoints import average, load_model, read_tensors, save_model, write_file
from helpers.corpus import splits
from helpers.decoding import translate
from helpers.evaluation import bleu
from helpers.experiment import read_table
from helpers.plots import lines, png, training_curve
from helpers.subwords import Subwords
from helpers.training import make_optimizer
from helpers.transformer import Transformer

RESULTS = resources.files("helpers") / "data" / "multi30k.csv"
Pair = tuple[str, str]  # source and target sentence


@dataclass(frozen=True)
class Texts:
    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]


def read_texts(arguments: argparse.Namespace) -> Texts:
    """The three sets of sentence pairs. Raises OSError or ValueError saying what is missing."""
    sides = (arguments.source, arguments.target)
    if arguments.data == "corpus":
        data = splits()
        sets = [data.train, data.validation, data.test]
        pairs = [[(p.source_text, p.target_text) for p in s] for s in sets]
    elif arguments.data == "multi30k":
        data = multi30k.load()
        pairs = [list(s) for s in (data.train, data.validation, data.test)]
    else:
        folder = Path(arguments.data)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"--data must be multi30k, corpus or a folder, and {arguments.data!r} is none"
            )
        return Texts(*(read_pairs(folder, name, sides) for name in ("train", "val", "test")))
    if set(sides) != {"de", "en"}:
        raise ValueError(f"--data {arguments.data} has de and en, not {' and '.join(sides)}")
    if sides == ("en", "de"):
        pairs = [[(target, source) for source, target in s] for s in pairs]
    return Texts(*pairs)


def read_pairs(folder: Path, name: str, sides: Sequence[str]) -> list[Pair]:
    """Line by line, the sentences of name.de and name.en (plain or .gz), for example."""
    needed = [f"{part}.{side}" for part in ("train", "val", "test") for side in sides]
    texts = [multi30k.read(folder, f"{name}.{side}", needed) for side in sides]
    texts = [text.removeprefix("\ufeff") for text in texts]  # the mark that some editors leave
    lines = [text.removesuffix("\n").split("\n") for text in texts]
    if len(lines[0]) != len(lines[1]):
        raise ValueError(f"{name}: {len(lines[0])} lines against {len(lines[1])} in {folder}")
    pairs = [(s.strip(), t.strip()) for s, t in zip(*lines, strict=True)]
    pairs = [(s, t) for s, t in pairs if s and t]
    if not pairs:
        both = " and ".join(f"{name}.{side}" for side in sides)
        raise ValueError(f"{both} in {str(folder)!r} must hold at least one pair of sentences")
    return pairs


def keep_memory() -> None:
    """Tell Linux's C library to keep freed memory for the next tensor.

    By default it gives large blocks back and asks for them again at every step; on a CPU the new
    pages cost up to a fifth of the time. Elsewhere this does nothing.
    """
    M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # names of <malloc.h>
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for name, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26)):
        mallopt(name, value)


def use_kernel(model: nn.Module, kernel: str) -> None:
    """Torch's "fused" attention, or the "formula" step by step, which on CPUs may be faster."""
    for module in model.modules():
        if isinstance(module, MultiHeadAttention):
            module.fused = kernel == "fused"


def precisions_and_kernels(precision: str, kernel: str) -> list[tuple[str, str]]:
    """Every pair that fits, where "auto" leaves the choice open."""
    precisions = ("float32", "bfloat16") if precision == "auto" else (precision,)
    kernels = ("fused", "formula") if kernel == "auto" else (kernel,)
    return list(product(precisions, kernels))


def seconds_per_token(
    model: Transformer, team_of, batches: Sequence[Batch], precision: str, kernel: str
) -> float:
    """Training seconds per target token, measured on a copy of the model.

    The first third of the batches only warms up. team_of(model) makes the worker.
    """
    trial = copy.deepcopy(model).train()
    use_kernel(trial, kernel)
    team, optimizer = team_of(trial), make_optimizer(trial)
    seconds, tokens = 0.0, 0
    for number, batch in enumerate(batches):
        began = time.perf_counter()
        float(team.step(trial, optimizer, None, batch, precision))  # waits for the device
        if number >= len(batches) // 3:
            seconds += time.perf_counter() - began
            tokens += batch.num_tokens
    return seconds / tokens


def launch(*options: object, processes: int = 1) -> None:
    """`python -m helpers.train` with these options, its lines shown as they come.

    With several processes through torchrun, each with one thread. Raises RuntimeError if it fails.
    """
    root = Path(__file__).parents[1]
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
    arguments = [sys.executable, *launcher, "helpers.train", *map(str, options)]
    with subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf8",
        errors="replace",
    ) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            print(line, end="", flush=True)
    if process.returncode:
        raise RuntimeError(f"helpers.train ended with {process.returncode}: {''.join(said[-5:])}")


def history_of(folder: str | Path) -> list[dict]:
    """The reports of a run so far, a row each."""
    path = Path(folder) / "log.jsonl"
    lines = path.read_text(encoding="utf8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def minutes_and_seconds(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Reporter:
    """What process 0 does at each report: measure BLEU, keep the best, write the log, say it."""

    def __init__(self, arguments, subwords: Subwords, validation: Sequence[Pair]):
        self.folder, self.subwords, self.validation = arguments.out, subwords, validation
        self.keep, self.cased, self.steps = arguments.average, arguments.cased, arguments.steps
        last = self.folder / "last.safetensors"
        try:
            rows = read_tensors(last)[1]["history"] if last.is_file() else []
        except ValueError as error:
            raise ValueError(
                f"{error}. The run cannot go on without it; its best model so far is in "
                "best.safetensors. To train from the start, name another --out"
            ) from None
        scores = [row["bleu"] for row in rows if not math.isnan(row["bleu"])]
        self.best = max(scores, default=-1.0)

    def measure(self, model: Transformer, step: int) -> dict:
        said = translate(model, self.subwords, [source for source, _ in self.validation])
        score, _ = bleu(said, [target for _, target in self.validation], lowercase=not self.cased)
        if score > self.best or math.isnan(score):  # nan: nothing to choose by, so the newest
            self.best = max(self.best, score)
            save_model(model, self.folder / "best.safetensors")
        if self.keep:
            save_model(model, self.folder / f"step-{step:07d}.safetensors")
            for old in sorted(self.folder.glob("step-*.safetensors"))[: -self.keep]:
                old.unlink()
        return {"bleu": score}

    def write(self, history: list[dict]) -> None:
        write_whole(self.folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in history))

    def __call__(self, history: list[dict]) -> None:
        self.write(history)
        row = history[-1]
        left = (self.steps - row["step"]) * row["seconds"] / row["step"]
        print(
            f"step {row['step']:6,d}  {minutes_and_seconds(row['seconds']):>6s}  "
            f"loss {row['train_loss']:.3f}  validation {row['validation_loss']:.3f}  "
            f"BLEU {row['bleu']:5.2f}  {row['tokens_per_second']:7,.0f} tokens/s  "
            f"{minutes_and_seconds(left):>6s} left",
            flush=True,
        )


def write_whole(path: Path, text: str) -> None:
    """The file appears complete or stays as it was."""
    write_file(path, text.encode("utf8"))


def ticking(batches: Iterator[Batch], first: int, steps: int) -> Iterator[Batch]:
    """The same batches; on a terminal a line that moves says that something is going on."""
    began = last = time.monotonic()
    for step, batch in enumerate(batches, start=first):
        now = time.monotonic()
        if sys.stderr.isatty() and now - last > 1 and step > first:
            last = now
            pace = (now - began) / (step - first)
            text = (
                f"\rstep {step:,} of {steps:,}, {minutes_and_seconds(pace * (steps - step))} left "
            )
            print(text, end="\r", file=sys.stderr, flush=True)
        yield batch


def finish(arguments, subwords: Subwords, texts: Texts, history: list[dict], device) -> None:
    """Choose on the validation set, score the test set once, draw the curves, say the result."""
    folder = arguments.out
    scored = not math.isnan(history[-1]["bleu"])
    name = "the best checkpoint" if scored else "the last checkpoint"
    candidates = {name: load_model(folder / "best.safetensors")}
    kept = sorted(folder.glob("step-*.safetensors"))
    if scored and len(kept) > 1:
        candidates[f"the mean of the last {len(kept)}"] = average(kept)
    scores = {}
    for name, model in candidates.items():
        scores[name] = score(model.to(device), subwords, texts.validation, arguments.beam)[0]["lc"]
        print(f"validation, beam {arguments.beam}, {name}: BLEU {scores[name]:.2f}", flush=True)
    chosen = max(scores, key=scores.get)
    model = candidates[chosen]
    save_model(model, folder / "model.safetensors")
    beam, said = score(model, subwords, texts.test, arguments.beam)
    result = {
        "chosen": chosen,
        "validation": scores,
        "test beam": beam,
        "test greedy": score(model, subwords, texts.test, 1)[0],
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": history[-1]["seconds"] / 60,
        "steps": history[-1]["step"],
    }
    write_whole(folder / "result.json", json.dumps(result, indent=1) + "\n")
    write_whole(folder / "test.txt", "".join(line + "\n" for line in said))
    minutes = [row["seconds"] / 60 for row in history]
    curve = lines({"validation": (minutes, [r["bleu"] for r in history])}, "minutes", "BLEU")
    write_file(folder / "bleu.png", png(curve))
    write_file(folder / "loss.png", png(training_curve(history)))
    for name in ("test beam", "test greedy"):
        for kind in ("lc", "cased"):
            signature = result[name][f"{kind} signature"]
            print(f"{name}: BLEU {result[name][kind]:.2f}  {signature}")
    how = "chosen on the validation set" if scored else "kept, with no BLEU to choose by"
    print(f"{how}: {chosen}; {result['minutes']:.1f} minutes of training")


def score(
    model: Transformer, subwords: Subwords, pairs: Sequence[Pair], beam_size: int
) -> tuple[dict, list[str]]:
    """BLEU without ("lc") and with ("cased") regard to capitals, their signatures; the texts."""
    said = translate(
        model,
        subwords,
        [s for s, _ in pairs],
        batch_size=100,
        beam_size=beam_size,
        length_penalty=1.0,
    )
    said = [capitalised(text) for text in said]
    scores = {}
    for name, lowercase in (("lc", True), ("cased", False)):
        scores[name], scores[f"{name} signature"] = bleu(said, [t for _, t in pairs], lowercase)
    return scores, said


def capitalised(text: str) -> str:
    """The first letter made a capital: all that a model of small letters can know of case."""
    return text[:1].upper() + text[1:]


def load_run(folder: str | Path) -> tuple[Transformer, Subwords]:
    """The chosen model of a finished run, or the best one so far, and its vocabulary.

    Raises FileNotFoundError if the folder holds no run.
    """
    folder = Path(folder)
    name = "model" if (folder / "model.safetensors").is_file() else "best"
    return load_model(folder / f"{name}.safetensors"), Subwords.load(folder / "vocabulary.json")


def read_results(path=RESULTS) -> tuple[list[dict[str, str]], list[str]]:
    """(rows, comments) of the committed benchmark: kind, name, measure, at, value.

    Raises FileNotFoundError saying how to make it.
    """
    return read_table(path, "make benchmark-multi30k")

"""What a training run reports: progress, BLEU, the best model so far, the final score."""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence

import torch
from tqdm import tqdm

from helpers.batching import Batch
from helpers.checkpoints import average, load_model, read_tensors, save_model
from helpers.corpora.parallel_text import Pair, Texts
from helpers.decoding import translate
from helpers.evaluation import bleu
from helpers.files import write_file, write_text
from helpers.pictures.curves import lines, training_curve
from helpers.pictures.style import png
from helpers.subwords import Subwords
from helpers.training import mean_loss, translation_loss
from helpers.transformer import Transformer


def minutes_and_seconds(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Reporter:
    """What process 0 does at each report: measure BLEU, keep the best, write the log, say it."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        subwords: Subwords,
        validation: Sequence[Pair],
        validation_batches: Sequence[Batch],
    ):
        self.validation_batches = validation_batches
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

    def evaluate(self, model: Transformer, step: int) -> dict:
        loss = mean_loss(model, translation_loss, self.validation_batches)
        said = translate(model, self.subwords, [source for source, _ in self.validation])
        score, _ = bleu(said, [target for _, target in self.validation], lowercase=not self.cased)
        if score > self.best or math.isnan(score):  # nan: nothing to choose by, so the newest
            self.best = max(self.best, score)
            save_model(model, self.folder / "best.safetensors")
        if self.keep:
            save_model(model, self.folder / f"step-{step:07d}.safetensors")
            for old in sorted(self.folder.glob("step-*.safetensors"))[: -self.keep]:
                old.unlink()
        return {"validation_loss": loss, "bleu": score}

    def write(self, history: list[dict]) -> None:
        write_text(self.folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in history))

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


def with_progress(batches: Iterator[Batch], first: int, steps: int) -> Iterator[Batch]:
    """The same batches; on a terminal, a bar shows how far training is and what is left."""
    with tqdm(initial=first, total=steps, unit="step", leave=False, disable=None) as bar:
        for batch in batches:
            yield batch
            bar.update()


def finish(
    arguments: argparse.Namespace,
    subwords: Subwords,
    texts: Texts,
    history: list[dict],
    device: torch.device,
    began: float,
) -> None:
    """Choose on the validation set, score the test set once, draw the curves, say the result.

    `began` is what time.perf_counter() was when this process started its work.
    """
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
    chosen = max(scores, key=scores.__getitem__)
    model = candidates[chosen]
    save_model(model, folder / "model.safetensors")
    beam, said = score(model, subwords, texts.test, arguments.beam)
    result = {
        "chosen": chosen,
        "validation": scores,
        "test beam": beam,
        "test greedy": score(model, subwords, texts.test, 1)[0],
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": history[-1]["seconds"] / 60,  # of training
        "minutes in all": (time.perf_counter() - began) / 60,  # since the start or --resume
        "steps": history[-1]["step"],
    }
    write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    write_text(folder / "test.txt", "".join(line + "\n" for line in said))
    minutes = [row["seconds"] / 60 for row in history]
    curve = lines({"validation": (minutes, [r["bleu"] for r in history])}, "minutes", "BLEU")
    write_file(folder / "bleu.png", png(curve))
    write_file(folder / "loss.png", png(training_curve(history)))
    for name in ("test beam", "test greedy"):
        for kind in ("lc", "cased"):
            signature = result[name][f"{kind} signature"]
            print(f"{name}: BLEU {result[name][kind]:.2f}  {signature}")
    how = "chosen on the validation set" if scored else "kept, with no BLEU to choose by"
    since = " since it was resumed" if arguments.resume else ""
    print(
        f"{how}: {chosen}; {result['minutes']:.1f} minutes of training, "
        f"{result['minutes in all']:.1f} in all{since}"
    )


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
    scores: dict[str, float | str] = {}
    for name, lowercase in (("lc", True), ("cased", False)):
        scores[name], scores[f"{name} signature"] = bleu(said, [t for _, t in pairs], lowercase)
    return scores, said


def capitalised(text: str) -> str:
    """The first letter made a capital: all that a model of small letters can know of case."""
    return text[:1].upper() + text[1:]

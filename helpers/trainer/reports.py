"""What a training run reports: progress, BLEU, the best model so far, the final score."""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from tqdm import tqdm

from helpers.batching import Batch
from helpers.checkpoints import average, load_model, read_tensors, save_model
from helpers.corpora.parallel_text import Pair, Texts
from helpers.decoding import translate
from helpers.evaluation import bleu, chrf, finds_words
from helpers.files import write_file, write_text
from helpers.pictures.curves import lines, training_curve
from helpers.pictures.style import png
from helpers.subwords import Subwords
from helpers.training import mean_loss, translation_loss
from helpers.transformer import Transformer


def minutes_and_seconds(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Reporter:
    """What process 0 does at each report: measure, keep the best model, write the log, print."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        subwords: Subwords,
        validation: Sequence[Pair],
        validation_batches: Sequence[Batch],
    ):
        self.arguments, self.folder, self.subwords = arguments, arguments.out, subwords
        self.sources, self.references = ([pair[side] for pair in validation] for side in (0, 1))
        self.validation_batches = validation_batches
        self.finds_words = finds_words(arguments.bleu_tokenize, self.references)
        self.log = tensorboard(self.folder) if arguments.tensorboard else lambda row: None
        last = self.folder / "last.safetensors"
        try:
            self.rows = read_tensors(last)[1]["history"] if last.is_file() else []
        except ValueError as error:
            raise ValueError(
                f"{error}. The run cannot go on without it; its best model so far is in "
                "best.safetensors. To train from the start, name another --out"
            ) from None

    def loss(self, model: Transformer) -> float:
        return mean_loss(model, translation_loss, self.validation_batches)

    def quality(self, row: dict) -> tuple[float, float]:
        """The better of two checkpoints has more of this: BLEU, or, where BLEU says nothing because
        it is missing, below 1, equal, or cannot find words, a lower validation loss."""
        counts = self.finds_words and row["bleu"] >= 1
        return (row["bleu"] if counts else 0.0, -row["validation_loss"])

    def why(self, row: dict) -> str:
        """In words, what `quality` decided by, for the row that won."""
        if self.quality(row)[0]:
            return "by BLEU"
        if math.isnan(row["bleu"]):
            return "by validation loss, because there is no BLEU"
        if not self.finds_words:
            return "by validation loss, because BLEU finds no words in this script"
        return "by validation loss, because no BLEU reached 1"

    def evaluate(self, model: Transformer, step: int) -> dict:
        said = translate(model, self.subwords, self.sources)
        lower = not self.arguments.cased
        tokenize = self.arguments.bleu_tokenize
        row = {
            "step": step,
            "validation_loss": self.loss(model),
            "bleu": bleu(said, self.references, lower, tokenize)[0],
            "chrf": chrf(said, self.references, lower)[0],
        }
        if all(self.quality(row) > self.quality(old) for old in self.rows):
            save_model(model, self.folder / "best.safetensors")
        if self.arguments.average:
            save_model(model, self.folder / f"step-{step:07d}.safetensors")
            for old in sorted(self.folder.glob("step-*.safetensors"))[: -self.arguments.average]:
                old.unlink()
        self.rows.append(row)
        return row

    def best(self) -> dict:
        return max(self.rows, key=self.quality)

    def write(self, history: list[dict]) -> None:
        write_text(self.folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in history))

    def __call__(self, history: list[dict]) -> bool:
        """Write and print the newest row. Returns whether it is time to stop (--patience)."""
        self.write(history)
        row = history[-1]
        self.log(row)
        left = (self.arguments.steps - row["step"]) * row["seconds"] / row["step"]
        print(
            f"step {row['step']:6,d}  {minutes_and_seconds(row['seconds']):>6s}  "
            f"loss {row['train_loss']:.3f}  validation {row['validation_loss']:.3f}  "
            f"BLEU {row['bleu']:5.2f}  chrF {row['chrf']:5.2f}  "
            f"{row['tokens_per_second']:7,.0f} tokens/s  {minutes_and_seconds(left):>6s} left",
            flush=True,
        )
        since = len(self.rows) - 1 - self.rows.index(self.best())
        if not self.arguments.patience or since < self.arguments.patience:
            return False
        print(f"stopping early: no better model in the last {since} reports", flush=True)
        return True


def tensorboard(folder: Any) -> Callable[[dict], None]:
    """A function that logs a row. Raises ValueError if TensorBoard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs a package: pip install tensorboard") from None
    writer = SummaryWriter(str(folder))

    def log(row: dict) -> None:
        for name, value in row.items():
            if name != "step" and math.isfinite(value):
                writer.add_scalar(name, value, row["step"])
        writer.flush()

    return log


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
    reporter: Reporter,
    history: list[dict],
    device: torch.device,
    began: float,
) -> None:
    """Choose on the validation set, score the test set once, draw the curves, print the result.

    `began` is what time.perf_counter() was when this process started its work.
    """
    folder = arguments.out
    best = reporter.best()
    print(f"the best checkpoint is that of step {best['step']:,}, {reporter.why(best)}")
    candidates = {"the best checkpoint": folder / "best.safetensors"}
    kept = sorted(folder.glob("step-*.safetensors"))
    if len(kept) > 1:
        candidates[f"the mean of the last {len(kept)}"] = kept
    rows, models = {}, {}
    for name, path in candidates.items():
        model = (average(path) if isinstance(path, list) else load_model(path)).to(device)
        found = score(model, subwords, texts.validation, arguments, arguments.beam)[0]
        rows[name] = {**found, "validation_loss": reporter.loss(model)}
        models[name] = model
        print(
            f"validation, beam {arguments.beam}, {name}: BLEU {found['bleu']:.2f}, "
            f"chrF {found['chrf']:.2f}, loss {rows[name]['validation_loss']:.3f}",
            flush=True,
        )
    chosen = max(rows, key=lambda name: reporter.quality(rows[name]))
    model = models[chosen]
    save_model(model, folder / "model.safetensors")
    result = {
        "chosen": chosen,
        "chosen by": reporter.why(rows[chosen]),
        "validation": {name: row["bleu"] for name, row in rows.items()},
        "validation chrF": {name: row["chrf"] for name, row in rows.items()},
        "validation loss": {name: row["validation_loss"] for name, row in rows.items()},
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": history[-1]["seconds"] / 60,  # of training
        "minutes in all": (time.perf_counter() - began) / 60,  # since the start or --resume
        "steps": history[-1]["step"],
    }
    if texts.test:
        result["test beam"], said = score(model, subwords, texts.test, arguments, arguments.beam)
        result["test greedy"], _ = score(model, subwords, texts.test, arguments, 1)
        write_text(folder / "test.txt", as_lines(said, texts.test_lines))
    write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    minutes = [row["seconds"] / 60 for row in history]
    curve = lines({"validation": (minutes, [r["bleu"] for r in history])}, "minutes", "BLEU")
    write_file(folder / "bleu.png", png(curve))
    write_file(folder / "loss.png", png(training_curve(history)))
    for search in ("test beam", "test greedy") if texts.test else ():
        print_scores(search, result[search])
    since = " since it was resumed" if arguments.resume else ""
    print(
        f"chosen on the validation set {result['chosen by']}: {chosen}; "
        f"{result['minutes']:.1f} minutes of training, {result['minutes in all']:.1f} in all{since}"
    )


def score(
    model: Transformer,
    subwords: Subwords,
    pairs: Sequence[Pair],
    settings: argparse.Namespace,
    beam_size: int,
) -> tuple[dict, list[str]]:
    """Scores of the model's translations, and the translations.

    BLEU of lower-cased text ("lc") and of text as it is ("cased"), and the one of the two that
    counts for this model ("bleu"); chrF of the text that counts; each with its signature.
    """
    said = translate(
        model,
        subwords,
        [s for s, _ in pairs],
        batch_size=100,
        beam_size=beam_size,
        length_penalty=1.0,
    )
    said = [with_capital(text, settings) for text in said]
    references = [target for _, target in pairs]
    scores: dict[str, Any] = {}
    for kind, lower in (("lc", True), ("cased", False)):
        found = bleu(said, references, lower, settings.bleu_tokenize)
        scores[kind], scores[f"{kind} signature"] = found
    scores["bleu"] = scores["cased" if settings.cased else "lc"]
    scores["chrf"], scores["chrf signature"] = chrf(said, references, not settings.cased)
    return scores, said


def print_scores(what: str, scores: dict) -> None:
    """A line for each score, with its signature."""
    for name, kind in (("BLEU", "lc"), ("BLEU", "cased"), ("chrF", "chrf")):
        print(f"{what}: {name} {scores[kind]:.2f}  {scores[f'{kind} signature']}")


def as_lines(said: Sequence[str], which: Sequence[int | None]) -> str:
    """For each line of a file, its translation, or an empty line if there is none."""
    return "".join(("" if i is None else one_line(said[i])) + "\n" for i in which)


def one_line(text: str) -> str:
    """The text without line ends, which a model may write, so that the lines of files match."""
    return text.replace("\r", " ").replace("\n", " ")


def with_capital(text: str, settings: argparse.Namespace) -> str:
    """The text, beginning with a capital if the run's own texts do and the model learned none."""
    return capitalised(text) if settings.capitals and not settings.cased else text


def capitalised(text: str) -> str:
    """The first letter made a capital, for a model that learned no capitals from its texts."""
    return text[:1].title() + text[1:]

"""Notebook 11's experiment: the same data, budget and seeds for every wiring, and what comes out.

`run` trains and measures one model; `make experiment` runs all of them and writes the table that
the notebook draws from.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.batching import Batch, collate, endless_batches
from helpers.corpora.toy import Corpus, Pair, join_words, vocabulary
from helpers.decoding import translate
from helpers.evaluation import bleu, exact_match
from helpers.files import read_table, write_table
from helpers.lessons.wirings import build
from helpers.tokenizer import Tokenizer
from helpers.training import TrainingConfig, mean_loss, train, translation_loss
from helpers.transformer import Transformer, TransformerConfig

LENGTHS = ((1, 6), (7, 8), (9, 10), (11, 12), (13, 99))  # source words, ends included
PROBE_LENGTH = 12  # source words of the sentences on which gradients are measured
RESULTS = resources.files("helpers") / "data" / "why_cross_attention.csv"


@dataclass(frozen=True)
class Row:
    """One number: `measure` of the model with this wiring and seed, at a step or a length."""

    wiring: str
    seed: int
    measure: str
    at: str
    value: float


def model_config(vocab_size: int) -> TransformerConfig:
    """The size that notebook 09 trains: 2 + 2 layers, pre-norm, no dropout."""
    return TransformerConfig(vocab_size, 64, 4, 256, 2, 2, 0.0, norm_first=True, max_length=64)


def run(
    wiring: str,
    seed: int,
    data: Corpus,
    steps: int = 1500,
    max_tokens: int = 1024,
    report: Callable[[list[dict]], None] | None = None,
) -> list[Row]:
    """Train one model from `seed` (weights and order of batches) and measure it.

    Measures: `parameters`; `validation_loss` (nats per token), `encoder_gradient`,
    `decoder_gradient` at each of about six steps; `position_gradient` at "step:position";
    `exact_match` (0 to 1) and `bleu` at "all" and at each length of the source, "7-8".
    """
    tokenizer = Tokenizer(vocabulary())
    examples, validation = (encode(tokenizer, p) for p in (data.train, data.validation))
    probe = collate([e for e in validation if len(e[0]) == PROBE_LENGTH])
    torch.manual_seed(seed)
    model = build(wiring, model_config(len(tokenizer)))
    rows = [Row(wiring, seed, "parameters", "", sum(p.numel() for p in model.parameters()))]

    def note(measure: str, at: object, value: float) -> None:
        rows.append(Row(wiring, seed, measure, str(at), round(float(value), 6)))

    def measure_gradients(step: int) -> None:
        by_position, encoder, decoder = gradients(model, probe)
        note("encoder_gradient", step, encoder)
        note("decoder_gradient", step, decoder)
        for position, value in enumerate(by_position.tolist()):
            note("position_gradient", f"{step}:{position}", value)

    def at_report(history: list[dict]) -> None:
        note("validation_loss", history[-1]["step"], history[-1]["validation_loss"])
        measure_gradients(history[-1]["step"])
        if report is not None:
            report(history)

    watched = [collate(validation[i : i + 250]) for i in range(0, len(validation), 250)]
    measure_gradients(0)
    train(
        model,
        lambda m, b: translation_loss(m, b, label_smoothing=0.1),
        lambda start: endless_batches(examples, max_tokens, seed, start),
        TrainingConfig(steps, 5e-3, min(200, steps // 4), -(-steps // 6), seed=seed),
        evaluate=lambda m, step: {"validation_loss": mean_loss(m, translation_loss, watched)},
        report=at_report,
    )
    said, truth = translations(model, tokenizer, data.test), [p.target_text for p in data.test]
    for low, high in ((1, 99), *LENGTHS):
        chosen = [i for i, p in enumerate(data.test) if low <= len(p.source) <= high]
        if chosen:
            pair = [said[i] for i in chosen], [truth[i] for i in chosen]
            at = "all" if (low, high) == (1, 99) else length_name(low, high)
            note("exact_match", at, exact_match(*pair))
            note("bleu", at, bleu(*pair)[0])
    return rows


def length_name(low: int, high: int) -> str:
    return f"{low}+" if high == 99 else f"{low}-{high}"


def encode(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    return [(tokenizer.encode(p.source), tokenizer.encode(p.target)) for p in pairs]


def translations(model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[str]:
    """Greedy translations of at most 40 words, in the order of the pairs, for any wiring."""
    found = translate(model, tokenizer, [pair.source for pair in pairs], max_length=40)
    return [join_words(words) for words in found]


def gradients(model: Transformer, batch: Batch) -> tuple[Tensor, float, float]:
    """How much of the loss's gradient arrives where: (by source position, encoder, decoder).

    By position (source,): the norm of the loss's gradient with respect to that position's
    embedding, mean over sentences, each sentence's loss being its mean over tokens. Encoder and
    decoder: the norm over all parameters of each. All source sentences must be equally long.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        output.requires_grad_().retain_grad()
        kept.append(output)

    model.zero_grad(set_to_none=True)
    hook = model.source_embedding.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            translation_loss(model, batch).backward()
    finally:
        hook.remove()
    gradient = kept[0].grad
    if gradient is None:  # nothing of the source is used
        gradient = torch.zeros_like(kept[0])
    by_position = gradient.norm(dim=-1).mean(0) * batch.source_ids.size(0)
    norms = [
        sum(float(p.grad.norm()) ** 2 for p in part.parameters() if p.grad is not None) ** 0.5
        for part in (model.encoder, model.decoder)
    ]
    model.zero_grad(set_to_none=True)
    return by_position, *norms


def write_rows(path: Path, rows: Iterable[Row], comments: Sequence[str] = ()) -> None:
    """A CSV file of these rows, `# comments` on top."""
    write_table(
        path,
        Row.__dataclass_fields__,
        ((r.wiring, r.seed, r.measure, r.at, f"{r.value:.6g}") for r in rows),
        comments,
    )


def read_rows(path: Traversable = RESULTS) -> tuple[list[Row], list[str]]:
    """(rows, comments) of such a file. Raises FileNotFoundError saying how to make it."""
    table, comments = read_table(path, "make experiment")
    rows = [
        Row(r["wiring"], int(r["seed"]), r["measure"], r["at"], float(r["value"])) for r in table
    ]
    return rows, comments

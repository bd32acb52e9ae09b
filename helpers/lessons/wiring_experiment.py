"""Notebook 11's experiment: the same data, budget and seeds for every wiring, and what comes out.

`run` trains and measures one model on a `Task`: the embedded corpus, its long and nested
sentences, or Multi30k. `make experiment` runs all of them and writes the table that the notebook
draws from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helpers.batching import Batch, Example, collate, endless_batches
from helpers.corpora.multi30k import Multi30k
from helpers.corpora.toy import Corpus, Pair, join_words, vocabulary
from helpers.decoding import translate
from helpers.evaluation import bleu, chrf, exact_match
from helpers.files import read_table, write_table
from helpers.lessons.wirings import build, num_parameters
from helpers.subwords import Subwords
from helpers.tokenizer import Tokenizer
from helpers.training import TrainingConfig, mean_loss, train, translation_loss
from helpers.transformer import Transformer, TransformerConfig

LENGTHS = ((1, 6), (7, 8), (9, 10), (11, 12), (13, 99))  # source words, full stop included
NESTED_LENGTHS = ((1, 26), (27, 31), (32, 36), (37, 99))
MULTI30K_LENGTHS = ((1, 8), (9, 11), (12, 14), (15, 99))
PROBE_LENGTH = 12  # source words of the sentences on which gradients are measured
RATE = 5e-3  # the peak of the learning rate, unless another is given
RESULTS = resources.files("helpers") / "data" / "why_cross_attention.csv"
SAID = resources.files("helpers") / "data" / "why_cross_attention_said.csv"
SPEAKERS = ("full", "recurrent with cross-attention", "recurrent")  # whose translations it holds


@dataclass(frozen=True)
class Row:
    """One number: `measure` of the model with this wiring and seed, at a step or a length."""

    task: str
    wiring: str
    rate: float
    seed: int
    measure: str
    at: str
    value: float


@dataclass(frozen=True)
class Task:
    """What the models learn: sentences as ids, a test set, and how large the models are."""

    name: str
    config: TransformerConfig
    tokenizer: Any  # a Tokenizer or Subwords
    train: Sequence[Example]
    validation: Sequence[Example]
    sources: Sequence  # of the test set, as the tokenizer reads them
    references: Sequence[str]
    counts: Sequence[int]  # words of each of these sources
    lengths: Sequence[tuple[int, int]]  # groups of such counts that are scored by themselves
    scores: Mapping[str, Callable[[list[str], list[str]], float]]  # of translations, references
    longest: int  # words or pieces that a translation may have
    steps: int  # of training: the budget of every model
    max_tokens: int  # of a step, on its longer side
    written: Callable[[Any], str] = str  # what the tokenizer decodes, as a text
    probe: Batch | None = None  # sentences of equal length on which gradients are measured


def model_config(vocab_size: int) -> TransformerConfig:
    """The size that notebook 09 trains: 2 + 2 layers, pre-norm, no dropout."""
    return TransformerConfig(vocab_size, 64, 4, 256, 2, 2, 0.0, norm_first=True, max_length=64)


def on_corpus(data: Corpus) -> Task:
    """The embedded corpus, with a model of notebook 09's size."""
    tokenizer = Tokenizer(vocabulary())
    config = model_config(len(tokenizer))
    task = _on_pairs("corpus", data, config, tokenizer, LENGTHS, 40, 1500, 1024)
    return replace(task, probe=collate([e for e in task.validation if len(e[0]) == PROBE_LENGTH]))


def on_nested(data: Corpus) -> Task:
    """Long sentences (corpora/toy_nested.py), half the width, and a decoder twice as deep."""
    tokenizer = Tokenizer(vocabulary())
    config = TransformerConfig(
        len(tokenizer), 32, 4, 128, 2, 4, dropout=0.0, norm_first=True, max_length=128
    )
    return _on_pairs("nested", data, config, tokenizer, NESTED_LENGTHS, 60, 1000, 768)


def _on_pairs(
    name: str,
    data: Corpus,
    config: TransformerConfig,
    tokenizer: Tokenizer,
    lengths: Sequence[tuple[int, int]],
    longest: int,
    steps: int,
    max_tokens: int,
) -> Task:
    return Task(
        name,
        config,
        tokenizer,
        encode(tokenizer, data.train),
        encode(tokenizer, data.validation),
        [pair.source for pair in data.test],
        [pair.target_text for pair in data.test],
        [len(pair.source) for pair in data.test],
        lengths,
        {"exact_match": exact_match, "bleu": lambda said, truth: bleu(said, truth)[0]},
        longest,
        steps,
        max_tokens,
        join_words,
    )


def on_multi30k(data: Multi30k) -> Task:
    """Multi30k, lower-cased, in 2,000 pieces and the bytes; 2 + 3 layers of width 64."""
    texts = [text for pair in data.train for text in pair]
    subwords = Subwords.learn(texts, 2000, lowercase=True)
    config = TransformerConfig(
        len(subwords), 64, 4, 256, 2, 3, dropout=0.0, norm_first=True, max_length=256
    )
    return Task(
        "multi30k",
        config,
        subwords,
        subwords.examples(data.train),
        subwords.examples(data.validation),
        [german for german, _ in data.test],
        [english.lower() for _, english in data.test],
        [len(german.split()) for german, _ in data.test],
        MULTI30K_LENGTHS,
        {
            "bleu": lambda said, truth: bleu(said, truth)[0],
            "chrf": lambda said, truth: chrf(said, truth)[0],
        },
        longest=60,
        steps=700,
        max_tokens=768,
    )


def longer(task: Task) -> Task:
    """The same task with four times the budget: does the order of the models stay?"""
    return replace(task, name=f"{task.name} longer", steps=4 * task.steps)


def run(
    wiring: str,
    seed: int,
    task: Task,
    steps: int | None = None,
    rate: float = RATE,
    model_of: Callable[[str, TransformerConfig], Any] = build,
    report: Callable[[list[dict]], None] | None = None,
    keep: Callable[[list[str]], object] | None = None,
) -> list[Row]:
    """Train one model from `seed` (weights and order of batches) and measure it.

    `wiring` is a name from WIRINGS, or, with a model_of(wiring, config) of your own, any name.
    Without `steps`, the task says how long to train.
    Measures: `parameters`; `validation_loss` (nats per token), `encoder_gradient`,
    `decoder_gradient` at each of about six steps; `position_gradient` at "step:position";
    the task's scores, such as `exact_match` (0 to 1) and `bleu`, at "all" and at each length of
    the source, "7-8". Gradients are measured if the task has a probe.
    `keep` is called with the translations of the test set, in its order.
    Raises ValueError for a wiring that model_of does not know.
    """
    steps = task.steps if steps is None else steps
    torch.manual_seed(seed)
    model = model_of(wiring, task.config)
    rows: list[Row] = []

    def note(measure: str, at: object, value: float) -> None:
        rows.append(Row(task.name, wiring, rate, seed, measure, str(at), round(float(value), 6)))

    def measure_gradients(step: int) -> None:
        if task.probe is None:
            return
        by_position, encoder, decoder = gradients(model, task.probe)
        note("encoder_gradient", step, encoder)
        note("decoder_gradient", step, decoder)
        for position, value in enumerate(by_position.tolist()):
            note("position_gradient", f"{step}:{position}", value)

    def at_report(history: list[dict]) -> None:
        note("validation_loss", history[-1]["step"], history[-1]["validation_loss"])
        measure_gradients(history[-1]["step"])
        if report is not None:
            report(history)

    note("parameters", "", num_parameters(model))
    measure_gradients(0)
    watched = [collate(task.validation[i : i + 250]) for i in range(0, len(task.validation), 250)]
    train(
        model,
        lambda m, b: translation_loss(m, b, label_smoothing=0.1),
        lambda start: endless_batches(task.train, task.max_tokens, seed, start),
        TrainingConfig(steps, rate, max(1, min(200, steps // 4)), -(-steps // 6), seed=seed),
        evaluate=lambda m, step: {"validation_loss": mean_loss(m, translation_loss, watched)},
        report=at_report,
    )
    said = translations(model, task)
    if keep is not None:
        keep(said)
    for low, high in ((1, 99), *task.lengths):
        chosen = [i for i, count in enumerate(task.counts) if low <= count <= high]
        if chosen:
            pair = [said[i] for i in chosen], [task.references[i] for i in chosen]
            at = "all" if (low, high) == (1, 99) else length_name(low, high)
            for measure, score in task.scores.items():
                note(measure, at, score(*pair))
    return rows


def length_name(low: int, high: int) -> str:
    return f"{low}+" if high == 99 else f"{low}-{high}"


def encode(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[Example]:
    return [(tokenizer.encode(p.source), tokenizer.encode(p.target)) for p in pairs]


def translations(model: Transformer, task: Task) -> list[str]:
    """Greedy translations of the test set, in its order, for any wiring."""
    found = translate(model, task.tokenizer, task.sources, max_length=task.longest)
    return [task.written(sentence) for sentence in found]


def gradients(model: Transformer, batch: Batch) -> tuple[Tensor, float, float]:
    """How much of the loss's gradient arrives where: (by source position, encoder, decoder).

    By position (source,): the norm of the gradient with respect to that position's embedding,
    averaged over sentences; the loss of a sentence is its mean over tokens. Encoder and decoder:
    the norm over all parameters of each. All source sentences must be of equal length.
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
    table = (
        (r.task, r.wiring, f"{r.rate:g}", r.seed, r.measure, r.at, f"{r.value:.6g}") for r in rows
    )
    write_table(path, Row.__dataclass_fields__, table, comments)


def read_rows(path: Traversable = RESULTS) -> tuple[list[Row], list[str]]:
    """(rows, comments) of such a file. Raises FileNotFoundError that says how to make it."""
    table, comments = read_table(path, "make experiment")
    numbers = {"rate": float, "seed": int, "value": float}
    return [Row(**{k: numbers.get(k, str)(v) for k, v in row.items()}) for row in table], comments


def read_said(path: Traversable = SAID) -> list[dict[str, str]]:
    """A few test sentences of Multi30k and what SPEAKERS make of them: by "German", "human" or
    a wiring, which `text`. Raises FileNotFoundError that says how to make the file."""
    return read_table(path, "make experiment")[0]

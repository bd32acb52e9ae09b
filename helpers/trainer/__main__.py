"""The command `python -m helpers.trainer`: one run, from texts to scores."""

import argparse
import io
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from helpers.attention import use_attention
from helpers.batching import Batch, Example, endless_batches
from helpers.distributed import (
    DataParallelWorker,
    broadcast_from_main,
    cleanup_distributed,
    is_main_process,
    setup_distributed,
)
from helpers.files import check_writable
from helpers.trainer.autotune import KERNELS, autotune
from helpers.trainer.data import check_room, in_batches, read_texts, vocabulary_of
from helpers.trainer.memory import keep_memory
from helpers.trainer.reports import Reporter, finish, with_progress
from helpers.trainer.settings import parser, read_arguments
from helpers.training import TrainingConfig, train, translation_loss
from helpers.transformer import Transformer, TransformerConfig


def make_folder(out: Path) -> None:
    """The run's folder. Raises OSError now, not after hours, if nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: --out {str(out)!r} cannot be made; name a folder that you may "
            "write to",
        ) from None
    check_writable(out / "last.safetensors")


def model_of(arguments: argparse.Namespace, vocab_size: int, longest: int) -> Transformer:
    """The untrained model; `longest` is the number of pieces of the longest sentence known."""
    torch.manual_seed(arguments.seed)
    return Transformer(
        TransformerConfig(
            vocab_size,
            arguments.d_model,
            arguments.heads,
            arguments.d_ff,
            arguments.encoder_layers,
            arguments.decoder_layers,
            arguments.dropout,
            norm_first=arguments.norm == "pre",
            tied_embeddings=not arguments.untied,
            max_length=max(256, 2 * longest),
        )
    )


def run(arguments: argparse.Namespace, device: torch.device) -> None:
    """One process of a run, from texts to scores."""
    began = time.perf_counter()
    say = print if is_main_process() else lambda *_, **__: None
    if is_main_process():
        make_folder(arguments.out)
    texts = read_texts(arguments) if is_main_process() else None
    broadcast_from_main(None)  # what has to be fetched is fetched once; the others find it
    texts = texts or read_texts(arguments)
    subwords = vocabulary_of(arguments, texts)
    plain = subwords.examples(texts.train)
    validation = subwords.examples(texts.validation)
    longest = max(len(ids) for pair in (*plain, *validation) for ids in pair)
    check_room(arguments, subwords, longest)
    to_test = max(len(ids) for pair in subwords.examples(texts.test) for ids in pair)
    model = model_of(arguments, len(subwords), max(longest, to_test)).to(device)
    if find_spec("sacrebleu") is None:
        say(
            "sacreBLEU is missing (pip install sacrebleu), so there is no BLEU, and the last model "
            "counts as the best"
        )
    say(
        f"{len(texts.train):,} pairs, {len(subwords):,} pieces, "
        f"{sum(p.numel() for p in model.parameters()):,} parameters, on {device.type}"
    )

    def loss(m: Transformer, batch: Batch) -> Tensor:
        return translation_loss(m, batch, label_smoothing=arguments.smoothing)

    def worker_for(m: Transformer) -> DataParallelWorker:
        return DataParallelWorker(m, loss, arguments.accumulate, arguments.shard)

    def examples_of(epoch: int) -> list[Example]:
        if not arguments.drop_merges:
            return plain
        cut = subwords.drop_merges(arguments.drop_merges, seed=arguments.seed * 1_000_003 + epoch)
        room = min(2 * longest, arguments.tokens) - 2  # a sentence that no longer fits stays whole
        return [
            thin if max(map(len, thin)) <= room else whole
            for thin, whole in zip(cut.examples(texts.train), plain, strict=True)
        ]

    def batches(start: int) -> Iterator[Batch]:
        stream = endless_batches(examples_of, arguments.tokens, arguments.seed, start)
        return (batch.to(device) for batch in stream)

    if not arguments.resume:
        say("measuring which precision and kernel are fastest here …", flush=True)
        autotune(arguments, model, worker_for, batches)
    say(f"{arguments.steps:,} steps, {arguments.precision}, {arguments.kernel} attention")
    use_attention(model, KERNELS[arguments.kernel])
    if arguments.compile:
        for layer in (*model.encoder.layers, *model.decoder.layers):
            layer.compile(dynamic=True)
    worker = worker_for(model)
    batches_to_watch = [b.to(device) for b in in_batches(validation, arguments.tokens)]
    reporter = Reporter(arguments, subwords, texts.validation, batches_to_watch)
    last = arguments.out / "last.safetensors"
    history = train(
        model,
        loss,
        lambda start: with_progress(batches(start), start, arguments.steps),
        TrainingConfig(
            arguments.steps,
            arguments.learning_rate,
            max(1, round(arguments.warmup * arguments.steps)),
            math.ceil(arguments.steps / arguments.reports),
            arguments.precision,
            arguments.seed,
        ),
        evaluate=reporter.evaluate,
        report=reporter,
        checkpoint=last,
        resume=arguments.resume and last.is_file(),
        worker=worker,
    )
    if is_main_process():
        reporter.write(history)  # also where a kill came between a checkpoint and its report
        finish(arguments, subwords, texts, history, device, began)


def main(argv: Sequence[str] | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no "…" shows "?"
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments = read_arguments(argv)
    again = f"To go on: {parser().prog} --out {arguments.out} --resume"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: torchrun and clusters
    try:
        keep_memory()
        run(arguments, setup_distributed())
    except KeyboardInterrupt:
        if not (arguments.out / "settings.json").is_file():
            give_up("stopped before training began; there is nothing to go on from")
        give_up(f"stopped; all up to the last report is kept. {again}")
    except OSError as error:
        begun = (arguments.out / "settings.json").is_file()
        give_up(f"error: {error}. {again}" if begun else f"error: {error}")
    except (ValueError, FloatingPointError) as error:
        give_up(f"error: {error}")
    except RuntimeError as error:
        if not lost_a_process(error):
            raise
        give_up(f"another process has ended, so this one stops. {again}")
    cleanup_distributed()


def give_up(message: str) -> None:
    """Say why and end, at once: the other processes may be gone, so nothing is waited for."""
    print(f"\n{message}", file=sys.stderr, flush=True)
    os._exit(1) if dist.is_initialized() else sys.exit(1)


def lost_a_process(error: RuntimeError) -> bool:
    """Whether this is how gloo or nccl say that nobody answers any more."""
    return dist.is_initialized() and (
        isinstance(error, dist.DistBackendError | dist.DistNetworkError) or "peer" in str(error)
    )


if __name__ == "__main__":
    main()

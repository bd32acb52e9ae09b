"""One process of a training run, from texts to scores."""

import argparse
import errno
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from helpers.attention import use_attention
from helpers.batching import Batch, Example, endless_batches
from helpers.checkpoints import read_tensors, write_tensors
from helpers.distributed import (
    DataParallelWorker,
    broadcast_from_main,
    is_main_process,
    world_size,
)
from helpers.files import check_writable
from helpers.subwords import Subwords
from helpers.trainer.autotune import KERNELS, autotune
from helpers.trainer.data import in_batches, prepare, read_texts
from helpers.trainer.encoded import encode_pairs, open_examples
from helpers.trainer.engines import batches_of_few_shapes, loss_for, ready_for
from helpers.trainer.reports import Reporter, finish, with_progress
from helpers.trainer.runs import FINISHED, load_run
from helpers.trainer.settings import write_settings
from helpers.training import TrainingConfig, train
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


def lock(out: Path) -> AbstractContextManager:
    """A context that reserves the run's folder until this process ends, however it ends.

    The system holds the lock, not the file, so a file left behind by a killed run locks nothing.
    Raises OSError if another run holds it.
    """
    try:
        return FileLock(str(out / "run.lock")).acquire(timeout=0)
    except Timeout:
        raise OSError(
            errno.EBUSY,
            f"another run is at work in {str(out)!r}; wait until it ends, or name another --out",
        ) from None
    except NotImplementedError:  # some network file systems have no locks
        return nullcontext()


def model_of(arguments: argparse.Namespace, vocab_size: int, longest: int) -> Transformer:
    """The model before training; `longest` is the number of pieces of the longest sentence."""
    torch.manual_seed(arguments.seed)
    model = Transformer(
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
    goes_on = arguments.resume and (arguments.out / "last.safetensors").is_file()
    if arguments.start_from is not None and not goes_on:  # else its own weights replace these
        model.load_state_dict(load_run(arguments.start_from)[0].state_dict())
    return model


def lengthen(arguments: argparse.Namespace, last: Path) -> None:
    """With --resume and another --steps or --minutes: plan for that, from where the run is now.

    The learning rate goes on as in a run that was planned at that length from the start, so in a
    finished run it rises again. Raises ValueError if the run has already got that far.
    """
    (name, wanted), *_ = sorted(arguments.more.items())  # steps win where both are given
    tensors, metadata = read_tensors(last) if last.is_file() else ({}, {"history": []})
    done: dict[str, Any] = (
        metadata["history"][-1] if metadata["history"] else {"step": 0, "seconds": 0.0}
    )
    steps = arguments.more.get("steps")
    if steps is None:
        if not done["step"]:
            raise ValueError("--minutes needs a first report to plan by; resume without it first")
        steps = int(60 * wanted * done["step"] / done["seconds"])
    if steps <= done["step"]:
        raise ValueError(
            f"--{name} must ask for more than the run has: it is at step {done['step']}, after "
            f"{done['seconds'] / 60:.1f} minutes of training, got {wanted}"
        )
    arguments.steps = steps
    set_aside(arguments.out, done["step"])
    if tensors:
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        metadata["training"] = asdict(training_config(arguments))
        write_tensors(last, tensors, metadata)
    write_settings(arguments)


def set_aside(out: Path, step: int) -> None:
    """Move a finished run's results into a folder of their own, because the run goes on.

    From now on, whoever uses the run gets its best model so far, and never an old one by mistake.
    The finished model can still be used: its vocabulary and settings are copied beside it.
    """
    if not (out / "model.safetensors").is_file():
        return
    place = out / f"finished-at-{step}"
    place.mkdir(exist_ok=True)
    for name in ("settings.json", "vocabulary.json"):
        shutil.copyfile(out / name, place / name)
    for name in FINISHED:
        if (out / name).is_file():
            (out / name).replace(place / name)
    print(f"the results after step {step:,} are now in {str(place)!r}")


def training_config(arguments: argparse.Namespace) -> TrainingConfig:
    return TrainingConfig(
        arguments.steps,
        arguments.learning_rate,
        max(1, round(arguments.warmup * arguments.steps)),
        math.ceil(arguments.steps / arguments.reports),
        arguments.precision,
        arguments.seed,
    )


def run(arguments: argparse.Namespace, device: torch.device) -> None:
    """One process of a run, from texts to scores. Process 0 reads the texts for all."""
    if not is_main_process():
        return work(arguments, device)
    make_folder(arguments.out)
    with lock(arguments.out):
        return work(arguments, device)


def work(arguments: argparse.Namespace, device: torch.device) -> None:
    """The run itself, in a folder that no other run is using."""
    began = time.perf_counter()
    main = is_main_process()
    say = print if main else lambda *_, **__: None
    last = arguments.out / "last.safetensors"
    texts, longest = None, 0
    if main:
        texts = read_texts(arguments)
        for note in texts.notes:
            say(note)
        say("cutting the texts into pieces of words …", flush=True)
        texts, longest = prepare(arguments, texts)
        for note in texts.notes:
            say(note)
        if arguments.more:
            lengthen(arguments, last)
    dropped = arguments.drop_merges > 0
    train_text, longest, arguments.steps = broadcast_from_main(
        (texts.train if texts and dropped else [], longest, arguments.steps)
    )
    subwords = Subwords.load(arguments.out / "vocabulary.json")
    plain = open_examples(arguments.out, subwords)
    model = model_of(arguments, len(subwords), longest).to(device)
    if find_spec("sacrebleu") is None:
        say(
            "sacreBLEU is missing (pip install sacrebleu), so there is no BLEU, and the model is "
            "chosen by the validation loss"
        )
    say(
        f"{len(plain):,} pairs, {len(subwords):,} pieces, "
        f"{sum(p.numel() for p in model.parameters()):,} parameters, on {device.type}"
    )

    def worker_for(m: Transformer, engine: str) -> DataParallelWorker:
        loss = loss_for(engine, device, arguments.smoothing)
        return DataParallelWorker(m, loss, arguments.accumulate, arguments.shard)

    def examples_of(epoch: int) -> Sequence[Example]:
        if not dropped:
            return plain
        cut = subwords.drop_merges(arguments.drop_merges, seed=arguments.seed * 1_000_003 + epoch)
        room = min(arguments.max_length, arguments.tokens - 2)
        room_cut = min(2 * longest, arguments.tokens) - 2  # else a sentence stays whole
        with tempfile.TemporaryFile() as file:  # stays mapped as long as it is needed
            return encode_pairs(train_text, subwords, file, room, cut, room_cut)[0]

    def batches(start: int, engine: str) -> Iterator[Batch]:
        what = (examples_of, arguments.tokens, arguments.seed, start)
        if engine == "eager":
            stream = endless_batches(*what)
        else:
            stream = batches_of_few_shapes(*what, world_size() * arguments.accumulate)
        return ready_for(device, (batch.checked(len(subwords)) for batch in stream))

    if not arguments.resume:
        say("measuring what is fastest here …", flush=True)
        autotune(arguments, model, worker_for, batches, say)
        if main:
            write_settings(arguments)
    how = f"{arguments.precision}, {arguments.kernel} attention, {arguments.engine}"
    say(f"{arguments.steps:,} steps, {how}")
    use_attention(model, KERNELS[arguments.kernel])
    worker = worker_for(model, arguments.engine)
    reporter = None
    if texts is not None:
        watched = in_batches(subwords.examples(texts.validation), arguments.tokens)
        watched = [batch.checked(len(subwords)).to(device) for batch in watched]
        reporter = Reporter(arguments, subwords, texts.validation, watched)
    history = train(
        model,
        worker.loss,
        lambda start: with_progress(batches(start, arguments.engine), start, arguments.steps),
        training_config(arguments),
        evaluate=None if reporter is None else reporter.evaluate,
        report=reporter,
        checkpoint=last,
        resume=arguments.resume and last.is_file(),
        worker=worker,
    )
    if texts is not None and reporter is not None:
        reporter.write(history)  # also if it was killed between a checkpoint and its report
        finish(arguments, subwords, texts, reporter, history, device, began)

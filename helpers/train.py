"""Train a translator from the command line, on one processor, on a GPU, or on several of either.

    python -m helpers.train --data multi30k --minutes 10 --out runs/de-en
    torchrun --nproc-per-node=2 -m helpers.train --data multi30k --minutes 10 --out runs/two
    python -m helpers.train --out runs/de-en --resume

The loop is `training.train`, the one of notebook 09. The folder named by --out then holds
  settings.json     all that was chosen, by you or by measuring
  vocabulary.json   the pieces of words
  log.jsonl         a line for each report
  last.safetensors  weights, optimizer and history: what --resume goes on from
  best.safetensors  the model with the best BLEU on the validation set (without sacreBLEU, the last)
  model.safetensors at the end: the best checkpoint, or the mean of the last, chosen on validation
  result.json       its scores on the test set, with sacreBLEU's signatures; test.txt what it said
  bleu.png, loss.png
"""

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from helpers.batching import Batch, Example, collate, endless_batches, one_epoch
from helpers.checkpoints import check_writable
from helpers.parallel import Team, first_says, is_first, join, leave
from helpers.runs import (
    Reporter,
    Texts,
    finish,
    keep_memory,
    precisions_and_kernels,
    read_texts,
    seconds_per_token,
    ticking,
    use_kernel,
    write_whole,
)
from helpers.subwords import Subwords
from helpers.training import TrainingConfig, train, translation_loss
from helpers.transformer import Transformer, TransformerConfig


def parser() -> argparse.ArgumentParser:
    """Every setting with what it does and its default."""
    p = argparse.ArgumentParser(
        prog="python -m helpers.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(group, name: str, default, text: str, **more) -> None:
        if default is False:
            group.add_argument(name, action="store_true", help=text)
        else:
            text = f"{text} (default: {default})"
            group.add_argument(name, default=default, type=type(default), help=text, **more)

    where = p.add_argument_group("where")
    where.add_argument("--out", type=Path, required=True, help="the run's folder")
    where.add_argument("--resume", action="store_true", help="go on with the run in --out")

    data = p.add_argument_group("data")
    add(
        data,
        "--data",
        "multi30k",
        "multi30k (downloaded, or from the folder that $MULTI30K names), corpus (the embedded "
        "one), or a folder of yours with train.de, train.en, val.de, val.en, test.de, test.en",
    )
    add(data, "--source", "de", "the language to translate from")
    add(data, "--target", "en", "the language to translate into")
    add(data, "--vocabulary", 8000, "pieces of words, one vocabulary for both languages")
    add(data, "--cased", False, "keep capital letters")
    add(data, "--bpe-dropout", 0.0, "probability to leave out a merge, drawn anew each epoch")

    model = p.add_argument_group("model")
    add(model, "--d-model", 128, "width")
    add(model, "--heads", 4, "attention heads")
    add(model, "--d-ff", 256, "width of the feed-forward's middle")
    add(model, "--encoder-layers", 4, "layers of the encoder")
    add(model, "--decoder-layers", 4, "layers of the decoder")
    add(model, "--dropout", 0.1, "dropout of sub-layers and embeddings")
    add(model, "--norm", "pre", "where the layer norm stands", choices=("pre", "post"))
    add(model, "--untied", False, "three embeddings")

    how = p.add_argument_group("training")
    length = how.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="how many steps")
    length.add_argument(
        "--minutes",
        type=float,
        help="how long, at most about: the speed is measured first, and steps follow from it "
        "(default: 10)",
    )
    add(how, "--tokens", 2048, "tokens of a step on its longer side, all processes together")
    add(how, "--learning-rate", 4e-3, "its peak")
    add(how, "--warmup", 0.06, "share of the steps in which it rises; then it falls to 0")
    add(how, "--smoothing", 0.1, "label smoothing")
    add(how, "--reports", 20, "how many times to measure and save")
    add(how, "--average", 5, "at the end try the mean of this many last checkpoints; 0: do not")
    add(how, "--beam", 5, "beam size for the test set")
    add(how, "--seed", 0, "of weights, order and dropout")

    add(
        how,
        "--precision",
        "auto",
        "of matrix products; auto measures which is faster here",
        choices=("auto", "float32", "bfloat16"),
    )
    add(
        how,
        "--kernel",
        "auto",
        "of attention: torch's fused one, or the formula step by step; auto measures",
        choices=("auto", "fused", "formula"),
    )

    engine = p.add_argument_group("machine (these may differ when a run is resumed)")
    add(engine, "--accumulate", 1, "parts that a process cuts its share into, to save memory")
    add(
        engine,
        "--shard",
        False,
        "spread weights and optimizer over the processes (FSDP), for models too big for one",
    )
    add(engine, "--compile", False, "torch.compile the layers")
    return p


LEAST = {  # the smallest value of an argument
    **dict.fromkeys(("steps", "tokens", "reports", "beam", "accumulate"), 1),
    **dict.fromkeys(("learning_rate", "warmup", "smoothing", "dropout", "bpe_dropout"), 0),
    "average": 0,
    "minutes": 0.01,
}
RESERVE = 1.2  # a rehearsal of seconds runs faster than minutes, which make a machine hot and busy
MACHINE = ("accumulate", "shard", "compile")  # what may differ on --resume


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, completed on --resume by those of the run. Exits naming what is wrong."""
    p = parser()
    arguments = p.parse_args(argv)
    stored = arguments.out / "settings.json"
    if not arguments.resume:
        if stored.exists() or any(arguments.out.glob("*.safetensors")):
            p.error(f"{arguments.out} holds a run; add --resume to go on, or name another --out")
        if arguments.steps is None and arguments.minutes is None:
            arguments.minutes = 10.0
        check_range(p, arguments)
        return arguments
    if not stored.exists():
        p.error(f"{arguments.out} holds no run to resume: there is no settings.json")
    try:
        settings = json.loads(stored.read_text(encoding="utf8"))
    except ValueError as error:
        p.error(
            f"{stored} is damaged ({error}), so the run cannot go on; the models beside it stay "
            "as they are. To train from the start, name another --out"
        )
    settings = {name: value for name, value in settings.items() if name not in MACHINE}
    for name, value in typed(argv).items():
        if value != settings.get(name, value):
            p.error(
                f"--{name.replace('_', '-')} is {settings[name]} in that run and cannot change; "
                "leave it out"
            )
    vars(arguments).update(settings)
    check_range(p, arguments)
    return arguments


def check_range(p: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Exit naming an argument that is too small, too large or no number."""
    for name, least in LEAST.items():
        value = getattr(arguments, name)
        if value is not None and not least <= value < math.inf:
            p.error(f"--{name.replace('_', '-')} must be at least {least}, got {value}")
    for name in ("dropout", "bpe_dropout", "smoothing", "warmup"):
        if (value := getattr(arguments, name)) >= 1:
            p.error(f"--{name.replace('_', '-')} must be below 1, got {value}")


def typed(argv: Sequence[str] | None) -> dict:
    """Only the arguments that stand on the command line, without anything's default."""
    p = parser()
    for action in p._actions:
        action.default = argparse.SUPPRESS
    return vars(p.parse_args(argv))


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


def vocabulary_of(arguments: argparse.Namespace, texts: Texts) -> Subwords:
    """The run's pieces of words: learned by process 0, kept in the folder, read by all."""
    path = arguments.out / "vocabulary.json"
    if is_first() and not arguments.resume:
        both = (text for pair in texts.train for text in pair)
        learned = Subwords.learn(both, arguments.vocabulary, lowercase=not arguments.cased)
        write_whole(path, learned.inner.to_str())
    first_says(None)  # wait until it is there
    return Subwords.load(path)


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


def check_room(arguments: argparse.Namespace, subwords: Subwords, longest: int) -> None:
    """Raise ValueError if a sentence does not fit into a batch, or a beam into the vocabulary."""
    if longest + 2 > arguments.tokens:
        raise ValueError(
            f"--tokens must be at least {longest + 2}, because a sentence of training or "
            f"validation has {longest} pieces, got {arguments.tokens}"
        )
    if arguments.beam > len(subwords):
        raise ValueError(f"--beam must be at most {len(subwords)}, got {arguments.beam}")


def settle(arguments: argparse.Namespace, model: Transformer, team_of, batches) -> None:
    """Measure what was left open (precision, kernel, steps for the minutes) and write it down."""
    some = list(islice(batches(0), 24))
    if "auto" in (arguments.precision, arguments.kernel):
        kinds = precisions_and_kernels(arguments.precision, arguments.kernel)
        times = {kind: seconds_per_token(model, team_of, some[:6], *kind) for kind in kinds}
        arguments.precision, arguments.kernel = first_says(min(times, key=times.get))
    if arguments.steps is None:
        pace = seconds_per_token(model, team_of, some, arguments.precision, arguments.kernel)
        tokens = sum(batch.num_tokens for batch in some) / len(some)
        steps = 60 * arguments.minutes / (RESERVE * pace * tokens)
        arguments.steps = first_says(max(1, int(steps)))
    if is_first():
        settings = {k: v for k, v in vars(arguments).items() if k not in ("out", "resume")}
        write_whole(arguments.out / "settings.json", json.dumps(settings, indent=1) + "\n")


def run(arguments: argparse.Namespace, device: torch.device) -> None:
    """One process of a run, from texts to scores."""
    say = print if is_first() else lambda *_, **__: None
    if is_first():
        make_folder(arguments.out)
    texts = read_texts(arguments) if is_first() else None
    first_says(None)  # what has to be fetched is fetched once; the others find it
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

    def team_of(m: Transformer) -> Team:
        return Team(m, loss, arguments.accumulate, arguments.shard)

    def examples_of(epoch: int) -> list[Example]:
        if not arguments.bpe_dropout:
            return plain
        cut = subwords.thinned(arguments.bpe_dropout, seed=arguments.seed * 1_000_003 + epoch)
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
        settle(arguments, model, team_of, batches)
    say(f"{arguments.steps:,} steps, {arguments.precision}, {arguments.kernel} attention")
    use_kernel(model, arguments.kernel)
    if arguments.compile:
        for layer in (*model.encoder.layers, *model.decoder.layers):
            layer.compile(dynamic=True)
    team = team_of(model)
    reporter = Reporter(arguments, subwords, texts.validation)
    last = arguments.out / "last.safetensors"
    history = train(
        model,
        loss,
        lambda start: ticking(batches(start), start, arguments.steps),
        TrainingConfig(
            arguments.steps,
            arguments.learning_rate,
            max(1, round(arguments.warmup * arguments.steps)),
            math.ceil(arguments.steps / arguments.reports),
            arguments.precision,
            arguments.seed,
        ),
        validation=[b.to(device) for b in in_batches(validation, arguments.tokens)],
        validation_loss=translation_loss,
        checkpoint=last,
        resume=arguments.resume and last.is_file(),
        report=reporter,
        measure=reporter.measure,
        worker=team,
    )
    if is_first():
        reporter.write(history)  # also where a kill came between a checkpoint and its report
        finish(arguments, subwords, texts, history, device)


def in_batches(examples: Sequence[Example], max_tokens: int) -> list[Batch]:
    return [collate([examples[i] for i in ids]) for ids in one_epoch(examples, max_tokens, seed=0)]


def main(argv: Sequence[str] | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no "…" shows "?"
        stream.reconfigure(errors="replace")
    arguments = read_arguments(argv)
    again = f"To go on: {parser().prog} --out {arguments.out} --resume"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: torchrun and clusters
    try:
        keep_memory()
        run(arguments, join())
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
    leave()


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

"""The settings of a training run: what the command line takes, and what it checks."""

import argparse
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import trainer
from helpers.evaluation import TOKENIZERS
from helpers.files import write_text
from helpers.trainer.engines import ENGINES
from helpers.training import PRECISIONS


def text_encoding(name: str) -> str:
    """The same name. Raises ArgumentTypeError if Python has no text encoding of that name."""
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        raise argparse.ArgumentTypeError(
            f"must name an encoding of text, such as utf-8 or cp1252, got {name!r}"
        ) from None
    return name


def parser() -> argparse.ArgumentParser:
    """Every setting with what it does and its default."""
    p = argparse.ArgumentParser(
        prog="python -m helpers.trainer",
        description=trainer.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(
        group: argparse._ArgumentGroup, name: str, default: Any, text: str, **more: Any
    ) -> None:
        if default is False:
            group.add_argument(name, action="store_true", help=text)
        else:
            text = f"{text} (default: {default})"
            group.add_argument(name, default=default, type=type(default), help=text, **more)

    where = p.add_argument_group("where")
    where.add_argument("--out", type=Path, required=True, help="the run's folder")
    where.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, on the same texts, wherever they are now (--data); with "
        "a larger --steps or --minutes, even a finished run goes on",
    )
    where.add_argument(
        "--from",
        dest="start_from",
        type=os.path.abspath,
        metavar="RUN",
        help="begin with the model and the vocabulary of another run (fine-tuning)",
    )

    data = p.add_argument_group("data")
    data.add_argument(
        "--data",
        nargs="+",
        default=["multi30k"],
        help="multi30k (downloaded, or from the folder that $MULTI30K names), corpus (the embedded "
        "one), or your own: two text files, source and target, that match line by line; a table "
        "(.tsv, .csv) with a column for each; or a folder with train.de, train.en and, if you "
        "like, val and test (default: multi30k)",
    )
    add(data, "--source", "de", "the language to translate from")
    add(data, "--target", "en", "the language to translate into")
    data.add_argument(
        "--encoding", default="utf-8", type=text_encoding, help="of your files (default: utf-8)"
    )
    add(data, "--strict", False, "stop at a blank or over-long line, instead of leaving it out")
    add(data, "--max-length", 400, "the most pieces that a sentence may have in training")
    add(data, "--vocabulary", 8000, "pieces of words, one vocabulary for both languages")
    add(data, "--cased", False, "keep capital letters")
    add(data, "--drop-merges", 0.0, "probability of leaving out a merge, drawn anew each epoch")
    add(
        data,
        "--bleu-tokenize",
        "auto",
        "how sacreBLEU finds words; auto depends on the script of the target",
        choices=("auto", *TOKENIZERS),
    )

    model = p.add_argument_group("model")
    add(model, "--d-model", 128, "width")
    add(model, "--heads", 4, "attention heads")
    add(model, "--d-ff", 256, "width of the middle of the feed-forward layer")
    add(model, "--encoder-layers", 4, "layers of the encoder")
    add(model, "--decoder-layers", 4, "layers of the decoder")
    add(model, "--dropout", 0.1, "dropout of sub-layers and embeddings")
    add(model, "--norm", "pre", "layer norm before or after sub-layers", choices=("pre", "post"))
    add(model, "--untied", False, "three embeddings")

    how = p.add_argument_group("training")
    length = how.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="how many steps")
    length.add_argument(
        "--minutes",
        type=float,
        help="about how long to train: the speed is measured first, and the number of steps comes "
        "from that; reports and the scores at the end take extra time (default: 10)",
    )
    add(how, "--tokens", 2048, "tokens per step on its longer side, over all processes together")
    add(how, "--learning-rate", 4e-3, "its peak")
    add(how, "--warmup", 0.06, "share of the steps in which it rises; then it falls to 0")
    add(how, "--smoothing", 0.1, "label smoothing")
    add(how, "--reports", 20, "how many times to measure and save")
    add(how, "--average", 5, "at the end, also try the mean of this many checkpoints; 0: do not")
    add(how, "--beam", 5, "beam size for the test set")
    add(how, "--seed", 0, "of weights, order and dropout")
    add(how, "--patience", 0, "stop after this many reports without a better model; 0: never")
    add(
        how,
        "--precision",
        "auto",
        "of matrix products; auto measures which is fastest here",
        choices=("auto", *PRECISIONS),
    )
    add(
        how,
        "--kernel",
        "auto",
        "of attention: torch's fused one, or the formula step by step; auto measures",
        choices=("auto", "fused", "formula"),
    )
    add(
        how,
        "--engine",
        "auto",
        "on a GPU: eager; compiled by torch.compile; or graphs, compiled with CUDA graphs; auto "
        "measures, if the run is long enough for compiling to pay",
        choices=("auto", *ENGINES),
    )

    engine = p.add_argument_group("machine (these may differ when a run is resumed)")
    add(engine, "--accumulate", 1, "parts that a process cuts its share into, to save memory")
    add(
        engine,
        "--shard",
        False,
        "spread weights and optimizer over the processes (FSDP), for models too big for one",
    )
    add(engine, "--device", "auto", "cpu, cuda, cuda:1, mps; auto takes a GPU if there is one")
    add(engine, "--tensorboard", False, "also log for TensorBoard, into the run's folder")
    return p


LEAST = {  # the smallest value of an argument
    **dict.fromkeys(("d_model", "heads", "d_ff", "encoder_layers", "decoder_layers"), 1),
    "vocabulary": 100,
    "seed": 0,
    **dict.fromkeys(("steps", "tokens", "reports", "beam", "accumulate", "max_length"), 1),
    **dict.fromkeys(("learning_rate", "warmup", "smoothing", "dropout", "drop_merges"), 0),
    **dict.fromkeys(("average", "patience"), 0),
    "minutes": 0.01,
}
MACHINE = ("accumulate", "shard", "device", "tensorboard")  # may differ on --resume
LENGTH = ("steps", "minutes")  # may become more
PLACE = ("data", "encoding")  # the texts themselves must stay the same, see `checksums`
# Of a run that another one begins with: the shape of its model, and how it reads text.
INHERITED = (
    *("d_model", "heads", "d_ff", "encoder_layers", "decoder_layers", "norm", "untied"),
    *("vocabulary", "cased"),
)


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; with --resume, those of the run are filled in. Exits naming what is wrong.

    `checksums` and `capitals` are what a run finds out about its texts; `more` holds a length that
    was asked for with --resume.
    """
    p = parser()
    arguments = p.parse_args(argv)
    arguments.checksums, arguments.capitals, arguments.more = {}, False, {}
    if arguments.data[0] not in ("multi30k", "corpus"):
        arguments.data = [os.path.abspath(path) for path in arguments.data]
    if len(arguments.data) > 2:
        p.error(f"--data takes one or two names, got {len(arguments.data)}")
    chosen = typed(argv)
    stored = arguments.out / "settings.json"
    if arguments.resume:
        resumed(p, arguments, chosen, stored)
    else:
        if stored.exists() or any(arguments.out.glob("*.safetensors")):
            p.error(f"{arguments.out} holds a run; add --resume to go on, or name another --out")
        if arguments.steps is None and arguments.minutes is None:
            arguments.minutes = 10.0
        if arguments.start_from is not None:
            inherit(p, arguments, chosen)
    check_range(p, arguments)
    return arguments


def resumed(
    p: argparse.ArgumentParser, arguments: argparse.Namespace, chosen: dict, stored: Path
) -> None:
    """Take over the settings of the run in the folder, except those that may be chosen anew."""
    settings = settings_in(p, stored, f"{arguments.out} holds no run to resume")
    settings = {name: value for name, value in settings.items() if name not in MACHINE}
    if unknown := sorted(settings.keys() - vars(arguments).keys()):
        p.error(
            f"{stored} has settings that this version does not know ({', '.join(unknown)}); go on "
            "with the version that wrote it, or name another --out"
        )
    arguments.more = {name: chosen[name] for name in LENGTH if name in chosen}
    anew = {name: getattr(arguments, name) for name in PLACE if name in chosen}
    for name, value in chosen.items():
        if name not in (*LENGTH, *PLACE) and value != settings.get(name, value):
            p.error(
                f"{option(name)} is {settings[name]} in that run and cannot change; leave it out"
            )
    vars(arguments).update(settings | anew)
    check_range(p, argparse.Namespace(**(vars(arguments) | arguments.more)))
    moved = [path for path in arguments.data if os.path.isabs(path) and not os.path.exists(path)]
    if moved and "data" not in chosen:
        p.error(f"the run's text is no longer at {moved[0]}; name it with --data")


def inherit(p: argparse.ArgumentParser, arguments: argparse.Namespace, chosen: dict) -> None:
    """Take over from the run that this one begins with what its model and vocabulary need."""
    other = Path(arguments.start_from)
    settings = settings_in(p, other / "settings.json", f"--from {other} is not a run")
    for name in INHERITED:
        if chosen.get(name, settings[name]) != settings[name]:
            p.error(
                f"{option(name)} is {settings[name]} in {other} and cannot change; leave it out"
            )
        setattr(arguments, name, settings[name])
    for name in ("source", "target"):
        setattr(arguments, name, chosen.get(name, settings[name]))


def settings_in(p: argparse.ArgumentParser, stored: Path, otherwise: str) -> dict:
    """The settings of a run. Exits if there are none, or if they are damaged."""
    if not stored.exists():
        p.error(f"{otherwise}: there is no settings.json")
    try:
        return json.loads(stored.read_text(encoding="utf8"))
    except ValueError as error:
        p.error(
            f"{stored} is damaged ({error}), so the run cannot go on; the models beside it stay "
            "as they are. To train from the start, name another --out"
        )


def write_settings(arguments: argparse.Namespace) -> None:
    """Write everything that was chosen or measured into the run's folder."""
    passing = ("out", "resume", "more")
    settings = {k: v for k, v in vars(arguments).items() if k not in passing}
    text = json.dumps(settings, indent=1, default=str)
    write_text(arguments.out / "settings.json", text + "\n")


def check_range(p: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Exit, naming the argument, if one is too small, too large or not a number."""
    for name, least in LEAST.items():
        value = getattr(arguments, name)
        if value is not None and not least <= value < math.inf:
            p.error(f"{option(name)} must be at least {least}, got {value}")
    if arguments.seed >= 2**63:
        p.error(f"--seed must be below 2**63, got {arguments.seed}")
    if arguments.d_model % 2 or arguments.d_model % arguments.heads:
        p.error(
            f"--d-model must be even and divisible by --heads, got {arguments.d_model} and "
            f"{arguments.heads}"
        )
    if arguments.shard and arguments.precision == "float16":
        p.error("--shard does not work with float16; choose --precision bfloat16 or float32")
    if arguments.engine == "graphs" and arguments.accumulate > 1:
        p.error(
            f"--engine graphs needs each batch in one part, got --accumulate "
            f"{arguments.accumulate}; choose --engine compiled"
        )
    if arguments.shard and arguments.engine not in ("auto", "eager"):
        p.error(f"--shard works only with --engine eager, got {arguments.engine}")
    for name in ("dropout", "drop_merges", "smoothing", "warmup"):
        if (value := getattr(arguments, name)) >= 1:
            p.error(f"{option(name)} must be below 1, got {value}")


def option(name: str) -> str:
    """How a setting is called on the command line."""
    return "--from" if name == "start_from" else f"--{name.replace('_', '-')}"


def typed(argv: Sequence[str] | None) -> dict:
    """Only the arguments given on the command line, without any defaults."""
    p = parser()
    for action in p._actions:
        action.default = argparse.SUPPRESS
    return vars(p.parse_args(argv))

"""The settings of a training run: what the command line takes, and what it checks."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import trainer


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
    add(data, "--drop-merges", 0.0, "probability to leave out a merge, drawn anew each epoch")

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
        help="about how long to train: the speed is measured first, and steps follow from it; "
        "reports and the scores at the end come on top (default: 10)",
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
    **dict.fromkeys(("learning_rate", "warmup", "smoothing", "dropout", "drop_merges"), 0),
    "average": 0,
    "minutes": 0.01,
}
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
    if unknown := sorted(settings.keys() - vars(arguments).keys()):
        p.error(
            f"{stored} has settings that this version does not know ({', '.join(unknown)}); go on "
            "with the version that wrote it, or name another --out"
        )
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
    for name in ("dropout", "drop_merges", "smoothing", "warmup"):
        if (value := getattr(arguments, name)) >= 1:
            p.error(f"--{name.replace('_', '-')} must be below 1, got {value}")


def typed(argv: Sequence[str] | None) -> dict:
    """Only the arguments that stand on the command line, without anything's default."""
    p = parser()
    for action in p._actions:
        action.default = argparse.SUPPRESS
    return vars(p.parse_args(argv))

"""Use a run: translate sentences, and score the translations of other files."""

import argparse
import codecs
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import torch

from helpers.batching import pad
from helpers.corpora.parallel_text import PARTS, Survey, find_parts
from helpers.corpora.text_files import ParallelText, clean, lines_of
from helpers.decoding import beam_search
from helpers.evaluation import TOKENIZERS, tokenizer_for
from helpers.files import check_writable, write_text
from helpers.special_ids import EOS
from helpers.subwords import Subwords
from helpers.trainer.reports import as_lines, one_line, print_scores, score, with_capital
from helpers.trainer.runs import load_run
from helpers.trainer.settings import text_encoding
from helpers.transformer import Transformer

CHUNK = 10_000  # lines that are read before they are translated


def common(name: str, text: str) -> argparse.ArgumentParser:
    """A parser with what both commands take."""
    p = argparse.ArgumentParser(prog=f"python -m helpers.trainer {name}", description=text)
    p.add_argument("run", type=Path, help="the folder of a run")
    p.add_argument("--beam", type=int, default=5, help="beam size; 1 is greedy (default: 5)")
    p.add_argument(
        "--device", default="auto", help="cpu, cuda, …; auto takes a GPU if there is one"
    )
    p.add_argument(
        "--encoding", default="utf-8", type=text_encoding, help="of the files (default: utf-8)"
    )
    return p


def load(
    p: argparse.ArgumentParser, arguments: argparse.Namespace
) -> tuple[Transformer, Subwords, argparse.Namespace]:
    """The run's model on its device, its vocabulary and its settings. Exits for a wrong --beam."""
    if arguments.beam < 1:
        p.error(f"--beam must be at least 1, got {arguments.beam}")
    model, subwords = load_run(arguments.run)
    if arguments.beam > len(subwords):
        p.error(f"--beam must be at most {len(subwords):,}, got {arguments.beam:,}")
    return model.to(device_for(arguments.device)), subwords, settings_of(arguments.run)


def translate(argv: Sequence[str]) -> None:
    """`python -m helpers.trainer translate`. Raises OSError or ValueError saying what is wrong."""
    p = common("translate", "Translate sentences, a line each; a blank line stays blank.")
    p.add_argument("sentences", nargs="*", help="the sentences (default: standard input)")
    p.add_argument("--input", type=Path, help="a file to translate, plain or .gz")
    p.add_argument("--length-penalty", type=float, default=1.0, help="0 favours short ones")
    p.add_argument("--batch-size", type=int, default=100, help="sentences at once (default: 100)")
    p.add_argument(
        "--scores",
        action="store_true",
        help="put the score and a tab before each (--n-best has them anyway)",
    )
    p.add_argument(
        "--n-best",
        type=int,
        help="this many translations of each line, as LINE ||| TRANSLATION ||| SCORE",
    )
    arguments = p.parse_intermixed_args(argv)
    if arguments.sentences and arguments.input:
        p.error("give sentences or --input, not both")
    for number, sentence in enumerate(arguments.sentences, 1):
        if any("\ud800" <= letter <= "\udfff" for letter in sentence):
            p.error(f"sentence {number} is not text in this terminal's encoding: {sentence!a}")
    if arguments.batch_size < 1:
        p.error(f"--batch-size must be at least 1, got {arguments.batch_size}")
    if not 0 <= arguments.length_penalty <= 10:
        p.error(f"--length-penalty must lie in [0, 10], got {arguments.length_penalty}")
    if arguments.n_best is not None and not 1 <= arguments.n_best <= arguments.beam:
        p.error(f"--n-best must lie in [1, {arguments.beam}] (--beam), got {arguments.n_best}")
    model, subwords, settings = load(p, arguments)
    typed = not (arguments.sentences or arguments.input) and sys.stdin.isatty()
    stream, number = iter(source_lines(arguments)), 0
    while lines := list(islice(stream, 1 if typed else CHUNK)):
        lines = [clean(line) for line in lines]
        for found in candidates(model, subwords, lines, arguments, number + 1):
            number += 1
            for text, value in found[: arguments.n_best or 1]:
                text = one_line(with_capital(text, settings))
                if arguments.n_best:
                    text = f"{number} ||| {text} ||| {value:.4f}"
                elif arguments.scores:
                    text = f"{value:.4f}\t{text}"
                print(text, flush=True)


def source_lines(arguments: argparse.Namespace) -> Iterable[str]:
    """The sentences of the command line, the lines of the file, or those of standard input."""
    if arguments.sentences:
        return arguments.sentences
    if arguments.input:
        return lines_of(arguments.input, arguments.encoding)
    return standard_input(arguments.encoding)


def standard_input(encoding: str) -> Iterator[str]:
    """The lines of standard input, each as soon as it arrives, without a byte order mark.

    Raises ValueError naming the line that is not in this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    number, rest = 0, ""
    try:
        for data in chain(sys.stdin.buffer, [b""]):
            rest += decoder.decode(data, final=not data)
            if "\0" in rest:
                raise UnicodeError
            *lines, rest = rest.split("\n")
            for line in lines:
                number += 1
                yield line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError:
        raise ValueError(
            f"standard input, line {number + 1:,}: the text is not {encoding.upper()}. If it is in "
            "another encoding, name it (such as --encoding cp1252 or --encoding utf-16)"
        ) from None
    if rest:
        yield rest.removeprefix("\ufeff") if number == 0 else rest


def candidates(
    model: Transformer,
    subwords: Subwords,
    lines: Sequence[str],
    arguments: argparse.Namespace,
    first: int = 1,
) -> list[list[tuple[str, float]]]:
    """For each line, its translations with their scores, best first; for a blank line, "" and 0.

    A line that is longer than the model can read gets "" and -inf, the worst score there is, and
    standard error names its number, counted from `first`.
    """
    found: list[list[tuple[str, float]]] = [[("", 0.0)] for _ in lines]
    encoded = [[*ids, EOS] for ids in subwords.encode_many(lines)]
    order = [i for i, line in enumerate(lines) if line]
    for i in list(order):
        if len(encoded[i]) > model.config.max_length:
            print(
                f"line {first + i:,} is not translated, because it has {len(encoded[i]):,} "
                f"pieces, but the model reads at most {model.config.max_length:,}: "
                f"{lines[i][:60]!r}",
                file=sys.stderr,
            )
            order.remove(i)
            found[i] = [("", -math.inf)]
    order.sort(key=lambda i: len(encoded[i]))  # little padding
    device = next(model.parameters()).device
    for start in range(0, len(order), arguments.batch_size):
        chosen = order[start : start + arguments.batch_size]
        ids, scores = beam_search(
            model,
            pad([encoded[i] for i in chosen]).to(device),
            arguments.beam,
            arguments.length_penalty,
            n_best=arguments.n_best or 1,
        )
        for i, rows, values in zip(chosen, ids.tolist(), scores.tolist(), strict=True):
            known = [(row, v) for row, v in zip(rows, values, strict=True) if v > -math.inf]
            found[i] = [(subwords.decode(row), value) for row, value in known]
    return found


def evaluate(argv: Sequence[str]) -> None:
    """`python -m helpers.trainer evaluate`. Raises OSError or ValueError saying what is wrong."""
    p = common("evaluate", "Translate a text and compare it with a translation that you have.")
    p.add_argument(
        "data",
        nargs="+",
        help="two text files, source and reference, that match line by line; a table (.tsv, .csv); "
        "or a folder with a test set",
    )
    p.add_argument("--output", type=Path, help="a file for the translations, line by line")
    p.add_argument(
        "--bleu-tokenize",
        default="auto",
        choices=("auto", *TOKENIZERS),
        help="how sacreBLEU finds words; auto depends on the script (default: auto)",
    )
    arguments = p.parse_intermixed_args(argv)
    if len(arguments.data) > 2:
        p.error(f"name two text files, a table or a folder, got {len(arguments.data)} names")
    model, subwords, settings = load(p, arguments)
    part, chosen = text_to_score(arguments, (settings.source, settings.target))
    if arguments.output:
        check_output(arguments.output, chosen.paths, arguments.run)
    text = Survey(chosen, strict=False)
    print(f"{part}: {text.note()}" if part else text.note())
    if part == "validation":
        print(
            "careful: there is no test set, so these are scores on the validation set; if the "
            "model was chosen by it, they are too good"
        )
    pairs, fit = text.pairs, model.config.max_length - 1
    if too_long := [i for i, (s, _) in enumerate(pairs) if len(subwords.encode(s)) > fit]:
        raise ValueError(
            f"{len(too_long):,} sentences are longer than the model can read ({fit} pieces): "
            f"{pairs[too_long[0]][0][:60]!r}; take them out of both sides"
        )
    settings.bleu_tokenize = arguments.bleu_tokenize
    if arguments.bleu_tokenize == "auto":
        settings.bleu_tokenize = tokenizer_for([target for _, target in pairs])
    scores, said = score(model, subwords, pairs, settings, arguments.beam)
    if arguments.output:
        write_text(arguments.output, as_lines(said, text.pair_of_line))
    print_scores(f"beam {arguments.beam}" if arguments.beam > 1 else "greedy", scores)


def text_to_score(arguments: argparse.Namespace, sides: Sequence[str]) -> tuple[str, ParallelText]:
    """What `evaluate` scores: two files, a table, or the test or validation set of a folder.

    Returns the name of the folder's part, or "" for files, and its text. Raises ValueError naming
    what there is instead; the training text of a folder is never scored.
    """
    paths = [Path(name) for name in arguments.data]
    for path in paths:
        if not path.is_file() and not (path.is_dir() and len(paths) == 1):
            raise ValueError(
                "evaluate takes two text files, a table (.tsv, .csv) or a folder with a test set, "
                f"and {str(path)!r} is none of these"
            )
    if len(paths) == 1 and paths[0].is_file() and not {".tsv", ".csv"} & set(paths[0].suffixes):
        raise ValueError(f"{str(paths[0])!r} is not a table (.tsv, .csv); name its reference too")
    parts = find_parts(arguments.data, sides, arguments.encoding, to_train=False)
    if not paths[0].is_dir():
        return "", parts["train"]
    for part in ("test", "validation"):
        if part in parts:
            return part, parts[part]
    names = " nor ".join(f"{PARTS[part]}.{sides[0]}" for part in ("test", "validation"))
    raise ValueError(
        f"{str(paths[0])!r} holds neither {names}, and a score on the training text says nothing; "
        "name the two files to score, source and reference"
    )


def check_output(output: Path, inputs: Sequence[Path], run: Path) -> None:
    """Raise an error now if writing the translations would fail later or destroy a file."""
    if any(output.exists() and output.samefile(path) for path in inputs):
        raise ValueError(
            f"--output {str(output)!r} is one of the files to score, and it would be lost; name "
            "another file"
        )
    if output.resolve().parent == run.resolve():
        raise ValueError(
            f"--output {str(output)!r} is in the run's folder, whose files it might replace; "
            "name a file elsewhere"
        )
    if not output.parent.is_dir():
        raise ValueError(
            f"--output {str(output)!r} cannot be written, because its folder does not exist; "
            "create it first"
        )
    check_writable(output)


def settings_of(run: Path) -> argparse.Namespace:
    """The settings of a run. Raises FileNotFoundError or ValueError if they can't be read."""
    path = run / "settings.json"
    if not path.is_file():
        raise FileNotFoundError(f"{str(run)!r} is not a complete run: it has no settings.json")
    try:
        return argparse.Namespace(**json.loads(path.read_text(encoding="utf8")))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged ({error})") from None


def device_for(name: str) -> torch.device:
    """The device of this name; auto takes a GPU if there is one. Raises ValueError if it fails."""
    if name == "auto":
        there = torch.accelerator.is_available()
        return (there and torch.accelerator.current_accelerator()) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {name} cannot be used here ({reason})") from None
    return device

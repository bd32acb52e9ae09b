"""Use a run: translate sentences, and score the translations of other files."""

import argparse
import io
import json
import math
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import torch

from helpers.batching import pad
from helpers.corpora.parallel_text import Survey, find_parts
from helpers.corpora.text_files import clean, lines_of
from helpers.decoding import beam_search
from helpers.evaluation import TOKENIZERS, tokenizer_for
from helpers.files import write_text
from helpers.special_ids import EOS
from helpers.subwords import Subwords
from helpers.trainer.reports import as_lines, one_line, print_scores, score, with_capital
from helpers.trainer.runs import load_run
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
    p.add_argument("--encoding", default="utf-8", help="of the files (default: utf-8)")
    return p


def translate(argv: Sequence[str]) -> None:
    """`python -m helpers.trainer translate`. Raises OSError or ValueError saying what is wrong."""
    p = common("translate", "Translate sentences, a line each; a blank line stays blank.")
    p.add_argument("sentences", nargs="*", help="the sentences (default: standard input)")
    p.add_argument("--input", type=Path, help="a file to translate, plain or .gz")
    p.add_argument("--length-penalty", type=float, default=1.0, help="0 favours short ones")
    p.add_argument("--batch-size", type=int, default=100, help="sentences at once (default: 100)")
    p.add_argument("--scores", action="store_true", help="put the score and a tab before each")
    p.add_argument(
        "--n-best",
        type=int,
        help="this many translations of each line, as LINE ||| TRANSLATION ||| SCORE",
    )
    arguments = p.parse_intermixed_args(argv)
    if arguments.sentences and arguments.input:
        p.error("give sentences or --input, not both")
    for name in ("beam", "batch_size"):
        if getattr(arguments, name) < 1:
            p.error(
                f"--{name.replace('_', '-')} must be at least 1, got {getattr(arguments, name)}"
            )
    if arguments.n_best is not None and not 1 <= arguments.n_best <= arguments.beam:
        p.error(f"--n-best must lie in [1, {arguments.beam}], the beam, got {arguments.n_best}")
    model, subwords = load_run(arguments.run)
    model.to(device_for(arguments.device))
    settings = settings_of(arguments.run)
    typed = not (arguments.sentences or arguments.input) and sys.stdin.isatty()
    stream, number = iter(source_lines(arguments)), 0
    while lines := list(islice(stream, 1 if typed else CHUNK)):
        for found in candidates(model, subwords, [clean(line) for line in lines], arguments):
            number += 1
            for text, value in found[: arguments.n_best or 1]:
                text = one_line(with_capital(text, settings))
                if arguments.n_best:
                    text = f"{number} ||| {text} ||| {value:.4f}"
                print(f"{value:.4f}\t{text}" if arguments.scores else text, flush=True)


def source_lines(arguments: argparse.Namespace) -> Iterable[str]:
    """The sentences of the command line, the lines of the file, or those of standard input."""
    if arguments.sentences:
        return arguments.sentences
    if arguments.input:
        return lines_of(arguments.input, arguments.encoding)
    return io.TextIOWrapper(sys.stdin.buffer, arguments.encoding, newline="\n")


def candidates(
    model: Transformer, subwords: Subwords, lines: Sequence[str], arguments: argparse.Namespace
) -> list[list[tuple[str, float]]]:
    """For each line its translations with their scores, best first; for a blank line "" and 0.

    A line that is longer than the model can read is left blank, and standard error says so.
    """
    found: list[list[tuple[str, float]]] = [[("", 0.0)] for _ in lines]
    encoded = [[*ids, EOS] for ids in subwords.encode_many(lines)]
    order = [i for i, line in enumerate(lines) if line]
    for i in list(order):
        if len(encoded[i]) > model.config.max_length:
            print(
                f"not translated, because it has {len(encoded[i]):,} pieces and the model reads "
                f"{model.config.max_length:,} at most: {lines[i][:60]!r}",
                file=sys.stderr,
            )
            order.remove(i)
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
        help="two text files, source and reference, line beside line; a table (.tsv, .csv); or a "
        "folder with a test set",
    )
    p.add_argument("--output", type=Path, help="a file for the translations, line beside line")
    p.add_argument(
        "--bleu-tokenize",
        default="auto",
        choices=("auto", *TOKENIZERS),
        help="how sacreBLEU finds words; auto goes by the script (default: auto)",
    )
    arguments = p.parse_intermixed_args(argv)
    model, subwords = load_run(arguments.run)
    settings = settings_of(arguments.run)
    parts = find_parts(arguments.data, (settings.source, settings.target), arguments.encoding)
    text = Survey(parts.get("test", parts["train"]), strict=False)
    print(text.note())
    pairs, fit = text.pairs, model.config.max_length - 1
    if too_long := [i for i, (s, _) in enumerate(pairs) if len(subwords.encode(s)) > fit]:
        raise ValueError(
            f"{len(too_long):,} sentences are longer than the model can read ({fit} pieces): "
            f"{pairs[too_long[0]][0][:60]!r}; take them out of both sides"
        )
    settings.bleu_tokenize = arguments.bleu_tokenize
    if arguments.bleu_tokenize == "auto":
        settings.bleu_tokenize = tokenizer_for([target for _, target in pairs])
    model.to(device_for(arguments.device))
    scores, said = score(model, subwords, pairs, settings, arguments.beam)
    if arguments.output:
        write_text(arguments.output, as_lines(said, text.pair_of_line))
    print_scores(f"beam {arguments.beam}" if arguments.beam > 1 else "greedy", scores)


def settings_of(run: Path) -> argparse.Namespace:
    """The settings of a run."""
    return argparse.Namespace(**json.loads((run / "settings.json").read_text(encoding="utf8")))


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

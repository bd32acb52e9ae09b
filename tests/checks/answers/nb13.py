import re
from fractions import Fraction

import numpy as np
import torch


def cut(word, merges, once=False, start="▁"):
    pieces = list(start + word)
    for pair in merges:
        out, done = [], False
        for piece in pieces:
            if out and (out[-1], piece) == pair and not (once and done):
                out[-1], done = out[-1] + piece, True
            else:
                out.append(piece)
        pieces = out
    return pieces


def by_index(word, merges):
    pieces = ["▁", *word]
    for first, second in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] == first and pieces[i + 1] == second:
                pieces[i : i + 2] = [first + second]
            i += 1
    return pieces


def by_text(word, merges):
    text = " ".join("▁" + word)
    for a, b in merges:
        text = re.sub(rf"(?<!\S){re.escape(a)} {re.escape(b)}(?!\S)", a + b, text)
    return text.split(" ")


def longest_match(word, merges):
    """Greedy from the left: what byte-pair encoding is often taken for."""
    known, rest, pieces = {"".join(m) for m in merges}, "▁" + word, []
    while rest:
        size = max(n for n in range(1, len(rest) + 1) if n == 1 or rest[:n] in known)
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def loses_letters(word, merges):
    """The second half of each pair is dropped."""
    return [p for p in cut(word, merges) if p != "hu"]


def glued(word, merges):
    """Joins every two that stand in any merge, learned as a pair or not."""
    return ["▁" + word[:1], *word[1:]]


def dot(losses, tokens):
    return sum(a * b for a, b in zip(losses, tokens, strict=True))


RIGHT = {
    "check_parts": [(8, 256), [8, 256.0], torch.tensor([8, 256]), "8, 256"],
    "check_cut_up": [
        cut,
        by_index,
        by_text,
        lambda w, m: tuple(cut(w, m)),
        lambda w, m: iter(cut(w, m)),
        lambda w, m: np.array(cut(w, m)),
    ],
    "check_whole_loss": [
        lambda a, n: np.average(a, weights=n),
        lambda a, n: torch.tensor(a) @ torch.tensor(n).float() / sum(n),
        lambda a, n: Fraction(dot(a, n)) / sum(n),
        lambda a, n: sum(x * k / sum(n) for x, k in zip(a, n, strict=True)),
    ],
}

WRONG = {
    "check_parts": [
        ((4, 512), "in two again"),
        ((2, 1024), "doesn't replace"),
        ((8, 2048), "whole step"),
        ((256, 8), "first the number"),
        ((3, 3), "processes times parts"),
        (8, "2 numbers are needed"),
    ],
    "check_cut_up": [
        (lambda w, m: list(w), "begin with ▁"),
        (lambda w, m: ["▁", *w], "nothing is merged"),
        (lambda w, m: cut(w, m, once=True), "not only the first"),
        (lambda w, m: cut(w, m[::-1]), "mind the merges' order"),
        (longest_match, "mind the merges' order"),
        (lambda w, m: cut(w, m[:1]), "only the first merge"),
        (lambda w, m: cut(w, m, start=""), "begin with|marks a word's beginning"),
        (lambda w, m: ["▁ein"], "must join"),
        (loses_letters, "must join"),
        (glued, r"should give \['▁ein', 'hu', 'ein'\], yours gives"),
        (lambda w, m: 3, "a list of pieces"),
        (lambda w, m: w, "a list of pieces"),
        (lambda w, m: " ".join(cut(w, m)), "in a list, not in one text"),
        (lambda w, m: ["▁ein", "hu", "ein"], "must join"),
    ],
    "check_whole_loss": [
        (lambda losses, n: sum(losses) / len(losses), "count by tokens"),
        (dot, "divide it"),
        (lambda losses, n: dot(losses, n) / len(n), "not of parts"),
        (lambda losses, n: sum(losses), "adds the means"),
        (lambda losses, n: sum(losses) / sum(n), "multiply by them"),
        (lambda losses, n: 2.7, "fits one input and not another"),
        (lambda losses, n: 1.0, "share of the tokens"),
        (lambda losses, n: losses, "one number is needed"),
    ],
}

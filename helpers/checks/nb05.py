"""Checks of notebook 05, the encoder."""

import math
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, close, exercise, expect
from helpers.encoder import EncoderLayer
from helpers.masks import padding_mask


@exercise("5.1")
def check_what_moves(answer: Any) -> str:
    """Predict: how many of 9 output vectors move if the last word changes; if padding is added."""
    word, padding = (int(x) for x in answer)
    if word == 1:
        raise Wrong("one only if words could not look at each other; here everybody sees everybody")
    if word != 9:
        raise Wrong("the encoder has no causal mask: who can see the last word?")
    if padding != 0:
        raise Wrong("padding is masked: what is hidden cannot move anybody")
    return "all nine hear the word, none hears the padding"


@exercise("5.2")
def check_encoder_layer(answer: Any) -> str:
    """Implement a post-norm encoder layer's forward from its parts, dropout off."""
    torch.manual_seed(0)
    layer = EncoderLayer(16, 4, 32, dropout=0.0).eval()
    x = torch.randn(2, 5, 16)
    norms = (layer.add_norm_self.norm, layer.add_norm_ff.norm)
    attend, feed = layer.self_attention, layer.feed_forward
    got = ask(answer, x, attend, feed, *norms)
    first = norms[0](x + attend(x, x))
    if close(got, norms[1](feed(first))):
        raise Wrong("the second residual is missing: add what went into the feed-forward")
    if close(got, norms[1](first + feed(x))):
        raise Wrong("the feed-forward should read the result of the attention step, not x")
    if close(got, norms[1](x + feed(first))):
        raise Wrong("the second residual adds the attention step's result, not the first x")
    h = x + attend(norms[0](x), norms[0](x))
    if close(got, h + feed(norms[1](h))):
        raise Wrong("this is pre-norm; the exercise asks for the paper's post-norm")
    expect(got, layer(x), "attention, add, norm; feed-forward, add, norm", 1e-4)
    return "attention, add & norm; feed-forward, add & norm"


@exercise("5.3")
def check_baseline(answer: Any) -> str:
    """Implement the honest baseline: the most frequent word."""
    got = ask(answer, ["the", "dog", "the", "ball"], ["the", "cat", "the", "the"])
    if close(got, 0.5):
        raise Wrong("0.5 is how frequent 'the' is in training; score it on the test words")
    if close(got, 3):
        raise Wrong("a share is needed: divide by the number of test words")
    expect(float(got), 0.75, "say the training words' most frequent one for every test word")
    return "a model that beats this has learned something"


check_quiz = choice(
    "5.4",
    "c",
    {
        "a": "that would be a bottleneck; notebook 11 measures what it costs",
        "b": "that is what goes in; after self-attention each has heard all others",
        "c": "this is the memory, (source, d_model)",
        "d": "those never leave it; each decoder layer makes its own (notebook 07)",
    },
)


@exercise("5.5")
def check_equality_test(answer: Any) -> str:
    """Write a test of equality for outputs (batch, source, d_model), some of them padding."""
    torch.manual_seed(0)
    ours = torch.randn(2, 5, 4, dtype=torch.float64)
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])

    def changed(sentence: int, place: int, value: float) -> Tensor:
        other = ours.clone()
        other[sentence, place, 2] += value
        return other

    cases = {
        "equal to the last bit": (ours.clone(), True),
        "rounded otherwise, by 1e-11": (changed(0, 1, 1e-11), True),
        "another number at padding": (changed(1, 4, 1.0), True),
        "NaN at padding": (changed(1, 3, math.nan), True),
        "one number of one word off by 1e-9": (changed(0, 4, 1e-9), False),
        "one number of one word lower": (changed(1, 2, -1.0), False),
        "NaN at a word": (changed(0, 0, math.nan), False),
        "a mean that is right, two words that are not": (
            ours + torch.tensor([1.0, -1.0, 0, 0, 0])[:, None],
            False,
        ),
    }
    for name, (theirs, verdict) in cases.items():
        got = bool(ask(answer, ours, theirs, padding_mask(ids)))
        if got != verdict and name == "NaN at padding":
            raise Wrong("0 · NaN is NaN: take the real words out, do not multiply the others by 0")
        if got != verdict:
            raise Wrong(f"your test says {got} for '{name}'")
    broken = changed(0, 2, math.nan)
    if bool(ask(answer, broken, broken.clone(), padding_mask(ids))):
        raise Wrong("both gave NaN at a word, and your test calls that equal")
    return "real words only, to rounding, and NaN is never equal"

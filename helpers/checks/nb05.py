"""Checks of notebook 05, the encoder."""

import torch

from helpers.checks import Wrong, ask, choice, close, exercise, expect
from helpers.encoder import EncoderLayer


@exercise("5.1")
def check_what_moves(answer):
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
def check_encoder_layer(answer):
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
def check_baseline(answer):
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

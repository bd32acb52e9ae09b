"""Checks of notebook 06, the decoder."""

from typing import Any

import torch

from helpers.checks import Wrong, ask, choice, close, exercise, expect
from helpers.encoder import EncoderLayer
from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS


@exercise("6.1")
def check_shift(answer: Any) -> str:
    """Implement teacher forcing: ids of a sentence -> (input, labels)."""
    reads, says = (list(map(int, part)) for part in ask(answer, [7, 8, 9]))
    if reads == says:
        raise Wrong("input and labels are the same: the model would only have to copy")
    if (reads, says) == ([7, 8], [8, 9]):
        raise Wrong("the shift is right, but nobody learns to start (BOS) or to stop (EOS)")
    if reads == [BOS, 7, 8, 9, EOS] or says == [BOS, 7, 8, 9, EOS]:
        raise Wrong("input and labels must be equally long: input without EOS, labels without BOS")
    if (reads, says) == ([7, 8, 9, EOS], [BOS, 7, 8, 9]):
        raise Wrong("the shift goes the wrong way: at BOS the model must say the first word")
    if (reads, says) != ([BOS, 7, 8, 9], [7, 8, 9, EOS]):
        raise Wrong("for words 7 8 9: read BOS 7 8 9, say 7 8 9 EOS")
    return "same words, one step apart"


@exercise("6.2")
def check_temperature(answer: Any) -> str:
    """Implement: logits and a temperature -> probabilities."""
    logits = torch.tensor([2.0, 1.0, 0.0])
    got = ask(answer, logits, 0.5)
    if close(got, (logits * 0.5).softmax(-1)):
        raise Wrong("multiplied: a temperature below 1 should make the best word MORE likely")
    if close(got, logits.softmax(-1) / 0.5):
        raise Wrong("divide the logits BEFORE softmax, or the result sums to 2")
    if close(got, logits / 0.5):
        raise Wrong("these are logits still: softmax makes probabilities of them")
    expect(got, (logits / 0.5).softmax(-1), "softmax of logits / temperature")
    return "cold makes sure, hot makes bold"


@exercise("6.3")
def check_what_it_needs(answer: Any) -> str:
    """Explain: which part does a decoder-only model lack to translate."""
    said = str(answer).lower()
    if "mask" in said:
        raise Wrong("it has its mask: what it lacks is something to read")
    if "position" in said:
        raise Wrong("positions are in its embedding already")
    if "cross" not in said and "source" not in said and "encoder" not in said:
        raise Wrong("which sentence should it write? Name the part that would tell it")
    return "it has no source to look at: cross-attention is next"


check_quiz = choice(
    "6.4",
    "a",
    {
        "a": "so all places can be trained at once, in one pass",
        "b": "that is writing, one word after another; training would be slow and lost early",
        "c": "then nothing would have to be learned",
        "d": "the mask makes teacher forcing honest, but it is another thing",
    },
)


@exercise("6.5")
def check_decoder_only(answer: Any) -> str:
    """Implement: an encoder layer, used as the layer of a decoder-only model."""
    torch.manual_seed(0)
    layer, x = EncoderLayer(16, 4, 32, dropout=0.0), torch.randn(2, 5, 16)
    mask = causal_mask(5)
    got = ask(answer, layer, x)
    mistakes = {
        "the future is read: the mask is missing": layer(x),
        "the mask is inverted: this layer reads the future and not the past": layer(x, ~mask),
        "rows are queries: this triangle shows the future": layer(x, mask.T),
        "the first word is all that is seen: the mask is a triangle, (target, target)": layer(
            x, mask[:1]
        ),
    }
    for message, wrong in mistakes.items():
        if close(got, wrong):
            raise Wrong(message)
    expect(got, layer(x, mask), "the same layer, called with the causal mask of its length")
    other = x[:, :3]
    expect(ask(answer, layer, other), layer(other, causal_mask(3)), "the length is that of x")
    return "one argument turns a reader into a writer"

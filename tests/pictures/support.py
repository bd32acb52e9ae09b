"""What the tests of the live page share: models, sentences, and what torch makes of them."""

from functools import cache

import torch

from helpers.batching import pad
from helpers.corpora.toy import Corpus, splits
from helpers.decoding import greedy
from helpers.special_ids import EOS, PAD, SPECIAL_TOKENS
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig


def written(model: Transformer, sources: list[list[int]]) -> list[list[int]]:
    """Python's greedy translations as ids, <eos> last."""
    ids = greedy(model, pad(sources)).tolist()
    return [row[: row.index(PAD)] if PAD in row else row for row in ids]


@cache
def corpus() -> Corpus:
    return splits(train=1)


def random_model(seed=0, **settings) -> Transformer:
    """Untrained, with norms and biases away from 1 and 0, so that a lost one shows."""
    torch.manual_seed(seed)
    sizes = dict(vocab_size=23, d_model=12, num_heads=3, d_ff=20, max_length=32, dropout=0.1)
    sizes |= dict(num_encoder_layers=2, num_decoder_layers=3)
    model = Transformer(TransformerConfig(**sizes | settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def words_for(model) -> Tokenizer:
    return Tokenizer(f"w{i}" for i in range(model.config.vocab_size - len(SPECIAL_TOKENS)))


def encoded(tokenizer, pairs) -> list[list[int]]:
    return [[*tokenizer.encode(pair.source), EOS] for pair in pairs]

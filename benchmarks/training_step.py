"""One training step of ours against torch.nn.Transformer and Hugging Face's Marian, in one run.

Same work: models that drop at the same rate in the same places, with the same masks, float32,
AdamW, and logits and loss at every position. Compared twice, once with dropout where torch.nn has
it (attention weights and inside the feed-forward too), once where the paper and Marian have it
(sub-layer outputs and embeddings, our default). Each draws its dropout in its own way: torch.nn
and Marian by nn.Dropout, ours by layers.Dropout.
At its best: each of them with whatever makes it faster here (bfloat16, and for Marian either
kernel), against ours with logits at real tokens only and, where that is faster, bfloat16.
"""

import argparse
import statistics
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders import marian, ratio, take_turns
from helpers.attention import MultiHeadAttention, attention, merge_heads, split_heads
from helpers.batching import Batch, collate
from helpers.dropout import Dropout
from helpers.layers import Embedding, FeedForward
from helpers.masks import causal_mask
from helpers.special_ids import PAD
from helpers.training import make_optimizer, training_step, translation_loss
from helpers.transformer import Transformer, TransformerConfig

SIZES = {
    "d_model 128, 4 + 4 layers": dict(
        d_model=128, num_heads=4, d_ff=256, num_encoder_layers=4, num_decoder_layers=4
    ),
    "d_model 256, 3 + 3 layers": dict(
        d_model=256, num_heads=4, d_ff=1024, num_encoder_layers=3, num_decoder_layers=3
    ),
}
VOCAB_SIZE, SMOOTHING = 8_000, 0.1


class TorchTransformer(nn.Module):
    """What a careful user of nn.Transformer writes: our embeddings, their stacks, tied output."""

    def __init__(self, config: TransformerConfig, only_our_dropout: bool):
        super().__init__()
        c = config
        self.embedding = Embedding(c.vocab_size, c.d_model, c.max_length)
        self.embedding.dropout = nn.Dropout(c.dropout)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "enable_nested_tensor")  # torch's note to itself
            self.stacks = nn.Transformer(
                c.d_model,
                c.num_heads,
                c.num_encoder_layers,
                c.num_decoder_layers,
                c.d_ff,
                c.dropout,
                batch_first=True,
                norm_first=c.norm_first,
            )
        self.output = nn.Linear(c.d_model, c.vocab_size, bias=False)
        self.output.weight = self.embedding.token.weight
        nn.init.normal_(self.output.weight, std=c.d_model**-0.5)
        if not c.norm_first:  # the paper has no further norm at the end of a post-norm stack
            self.stacks.encoder.norm = self.stacks.decoder.norm = None
        if only_our_dropout:
            for module in self.modules():
                if isinstance(module, nn.MultiheadAttention):
                    module.dropout = 0.0
                if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                    module.dropout = nn.Identity()

    def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        hidden_source = source_ids == PAD
        states = self.stacks(
            self.embedding(source_ids),
            self.embedding(target_ids),
            tgt_mask=~causal_mask(target_ids.size(1)),
            src_key_padding_mask=hidden_source,
            tgt_key_padding_mask=target_ids == PAD,
            memory_key_padding_mask=hidden_source,
            tgt_is_causal=True,
        )
        return self.output(states)


class Marian(nn.Module):
    """Hugging Face's Marian of the same sizes; kernel "eager" or "sdpa"."""

    def __init__(self, config: TransformerConfig, kernel: str):
        super().__init__()
        self.inner = marian(config, kernel)

    def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        return self.inner(
            input_ids=source_ids,
            attention_mask=(source_ids != PAD).long(),
            decoder_input_ids=target_ids,
            decoder_attention_mask=(target_ids != PAD).long(),
            use_cache=False,
        ).logits


class AttentionWithDropout(MultiHeadAttention):
    """Ours with torch.nn's further dropout, on the attention weights."""

    def attend(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        _, weights = attention(split_heads(self.w_q(x), self.num_heads), key, value, mask)
        return self.w_o(merge_heads(self.dropout(weights) @ value))


def with_all_of_torchs_dropout(model: Transformer) -> Transformer:
    rate = model.config.dropout
    for module in list(model.modules()):
        if isinstance(module, MultiHeadAttention):
            module.__class__, module.dropout = AttentionWithDropout, Dropout(rate)
        if isinstance(module, FeedForward):  # before the ReLU is as good as after it
            module.w_1 = nn.Sequential(module.w_1, Dropout(rate))
    return model


def loss_at_every_position(model: nn.Module, batch: Batch) -> Tensor:
    logits = model(batch.source_ids, batch.target_input)
    return F.cross_entropy(
        logits.flatten(0, 1).float(),
        batch.target_labels.flatten(),
        ignore_index=PAD,
        label_smoothing=SMOOTHING,
    )


def loss_at_real_tokens(model: Transformer, batch: Batch) -> Tensor:
    return translation_loss(model, batch, SMOOTHING)


def random_batches(count: int, max_tokens: int, seed: int = 0) -> list[Batch]:
    """Batches of sentences of 8 to 28 tokens, like a bucketed corpus of image captions."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, size: int) -> list[int]:
        return torch.randint(low, high, (size,), generator=generator).tolist()

    batches = []
    for centre in draw(10, 26, count):
        examples = []
        for _ in range(max_tokens // (centre + 4)):
            source, target = (max(1, centre + d) for d in draw(-2, 3, 2))
            examples.append((draw(4, VOCAB_SIZE, source), draw(4, VOCAB_SIZE, target)))
        batches.append(collate(examples))
    return batches


def use_formula(model: Transformer) -> Transformer:
    """Explicit softmax attention: in bfloat16 on CPUs its backward beats the fused kernel's."""
    for module in model.modules():
        if isinstance(module, MultiHeadAttention):
            module.fused = False
    return model


def measure(contenders: dict, batches: list[Batch], rounds: int) -> dict[str, list[float]]:
    """Seconds per pass over the batches, contenders taking turns so that noise hits them alike."""

    def trainer(model: nn.Module, loss, precision: str):
        optimizer = make_optimizer(model)
        return lambda: [training_step(model, optimizer, loss, b, precision) for b in batches]

    return take_turns({name: trainer(*c) for name, c in contenders.items()}, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=2048, help="padded tokens per batch")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    arguments = parser.parse_args()
    batches = random_batches(4, arguments.tokens)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for title in arguments.sizes:
        config = TransformerConfig(VOCAB_SIZE, norm_first=True, max_length=64, **SIZES[title])
        torch.manual_seed(0)
        contenders = contenders_of(config)
        for model, _, _ in contenders.values():
            model.train()
        seconds = measure(contenders, batches, arguments.rounds)
        tokens = sum(batch.num_tokens for batch in batches)
        print(f"\n{title}, {config.d_ff} d_ff, {VOCAB_SIZE} words, dropout {config.dropout}")
        for name, taken in seconds.items():
            print(f"  {name:36s} {tokens / statistics.median(taken):8,.0f} target tokens/s")
        report(seconds)


def contenders_of(config: TransformerConfig) -> dict[str, tuple]:
    """{name: (model, loss, precision)}."""
    every, real = loss_at_every_position, loss_at_real_tokens
    theirs, theirs_few = TorchTransformer(config, False), TorchTransformer(config, True)
    eager, sdpa = Marian(config, "eager"), Marian(config, "sdpa")
    ours = lambda: Transformer(config)
    return {
        "nn.Transformer, its dropout": (theirs, every, "float32"),
        "ours, its dropout": (with_all_of_torchs_dropout(ours()), every, "float32"),
        "nn.Transformer, paper's dropout": (theirs_few, every, "float32"),
        "Marian, eager": (eager, every, "float32"),
        "Marian, sdpa": (sdpa, every, "float32"),
        "ours, paper's dropout": (ours(), every, "float32"),
        "nn.Transformer, bf16": (theirs, every, "bfloat16"),
        "nn.Transformer, paper's, bf16": (theirs_few, every, "bfloat16"),
        "Marian, eager, bf16": (eager, every, "bfloat16"),
        "Marian, sdpa, bf16": (sdpa, every, "bfloat16"),
        "ours, logits at real tokens": (ours(), real, "float32"),
        "ours, and bf16": (ours(), real, "bfloat16"),
        "ours, and bf16, formula": (use_formula(ours()), real, "bfloat16"),
    }


def report(seconds: dict[str, list[float]]) -> None:
    """How many times as fast ours is."""

    def times(slow: str, fast: str) -> float:
        return ratio(seconds[slow], seconds[fast])

    def fastest(family: str) -> str:
        names = [name for name in seconds if name.startswith(family)]
        return min(names, key=lambda name: statistics.median(seconds[name]))

    pairs = [("nn.Transformer, its dropout", "ours, its dropout")]
    others = ("nn.Transformer, paper's dropout", "Marian, eager", "Marian, sdpa")
    pairs += [(other, "ours, paper's dropout") for other in others]
    for slow, fast in pairs:
        print(f"  same work: ours is {times(slow, fast):.2f} x as fast as {slow}")
    best = fastest("ours")
    for family in ("nn.Transformer", "Marian"):
        other = fastest(family)
        print(f"  each at its best: {best} is {times(other, best):.2f} x as fast as {other}")
    print(
        f"  {best} is {times('nn.Transformer, its dropout', best):.2f} x nn.Transformer as it comes"
    )


if __name__ == "__main__":
    main()

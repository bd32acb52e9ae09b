"""Decoding, side by side in one run: against Hugging Face `generate`, and with and without cache.

The work is equal: a Marian model (transformers) and ours have the same sizes, both post-norm, in
float32, with a cache and in inference mode. Neither may end a sentence, so that both produce
exactly `--length` tokens for each; weights are random, which does not change what is computed. The
runs are interleaved; every figure is a median over the rounds, with its quartiles. After that, our
cached decoding is compared with our own uncached one, with the trained translator on sentences of
its test set, where each sentence ends at its own end.

With --compiled, both are measured with a compiled step and a cache of fixed size as well: ours is
`compiled_decoding`, which was made for GPUs, and `generate` compiles its own.
"""

import argparse
from itertools import product
from pathlib import Path

import torch
from transformers import CompileConfig, GenerationConfig

from benchmarks.baselines import count_parameters, marian
from benchmarks.timing import (
    add_record,
    machine,
    recording,
    speedup,
    time_interleaved,
    with_spread,
)
from helpers.batching import pad
from helpers.checkpoints import load_model
from helpers.compiled_decoding import CompiledDecoding
from helpers.corpora.toy import splits, vocabulary
from helpers.decoding import beam_search, greedy
from helpers.special_ids import BOS, EOS, PAD
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig

SIZES = {
    "d_model 128, 4 + 4 layers, d_ff 256": (128, 4, 256, 4),
    "d_model 256, 3 + 3 layers, d_ff 512": (256, 4, 512, 3),
}
VOCAB_SIZE = 4_000


def config_of(d_model: int, heads: int, d_ff: int, layers: int) -> TransformerConfig:
    return TransformerConfig(VOCAB_SIZE, d_model, heads, d_ff, layers, layers, max_length=128)


def ours(config: TransformerConfig) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(config)
    with torch.no_grad():
        model.output.weight[EOS] = 0.0  # never the largest of thousands of random logits
    return model.eval()


@torch.inference_mode()
def their_generate(
    model, source_ids: torch.Tensor, length: int, beams: int, compiled: bool = False
) -> torch.Tensor:
    options = {}
    if compiled:
        compiling = CompileConfig(fullgraph=False, mode="default")
        compiling._compile_all_devices = True  # on a CPU too
        options = dict(cache_implementation="static", compile_config=compiling)
    settings = GenerationConfig(
        max_new_tokens=length,
        num_beams=beams,
        do_sample=False,
        use_cache=True,
        pad_token_id=PAD,
        eos_token_id=None,
        decoder_start_token_id=BOS,
        **options,
    )
    mask = (source_ids != PAD).long()
    return model.generate(input_ids=source_ids, attention_mask=mask, generation_config=settings)


def against_marian(arguments: argparse.Namespace) -> None:
    generator = torch.Generator().manual_seed(0)
    length = arguments.length
    for (title, sizes), batch in product(SIZES.items(), arguments.batch):
        shape = (batch, arguments.source_length)
        source_ids = torch.randint(4, VOCAB_SIZE, shape, generator=generator)
        mine, theirs = ours(config_of(*sizes)), marian(config_of(*sizes)).eval()
        counts = [count_parameters(model) for model in (mine, theirs)]
        print(f"\n{title}, {VOCAB_SIZE} words, {batch} sentences of {length} tokens at once")
        print(f"  parameters: ours {counts[0]:,}, Marian {counts[1]:,}")
        assert greedy(mine, source_ids, length).shape == (batch, length)
        assert their_generate(theirs, source_ids, length, 1).size(1) == length + 1  # with BOS
        assert beam_search(mine, source_ids, 4, max_length=length)[0].size(1) == length
        assert their_generate(theirs, source_ids, length, 4).size(1) == length + 1
        runs = {
            "greedy, generate": lambda m=theirs, ids=source_ids: their_generate(m, ids, length, 1),
            "greedy, ours": lambda m=mine, ids=source_ids: greedy(m, ids, length),
            "greedy, uncached": lambda m=mine, ids=source_ids: greedy(m, ids, length, cached=False),
            "beam 4, generate": lambda m=theirs, ids=source_ids: their_generate(m, ids, length, 4),
            "beam 4, ours": lambda m=mine, ids=source_ids: beam_search(
                m, ids, 4, max_length=length
            ),
        }
        if arguments.compiled:
            compiled = CompiledDecoding(mine)
            runs |= {
                "greedy, compiled": lambda m=compiled, ids=source_ids: m.greedy(ids, length),
                "greedy, generate compiled": lambda m=theirs, ids=source_ids: their_generate(
                    m, ids, length, 1, compiled=True
                ),
                "beam 4, compiled": lambda m=compiled, ids=source_ids: m.beam_search(
                    ids, 4, max_length=length
                ),
                "beam 4, generate compiled": lambda m=theirs, ids=source_ids: their_generate(
                    m, ids, length, 4, compiled=True
                ),
            }
        seconds = time_interleaved(runs, arguments.rounds)
        for name, taken in seconds.items():
            rate = with_spread([batch / t for t in taken], ".1f")
            print(f"  {name:26s} {rate} sentences/s")
        pairs = [
            ("greedy: ours", "greedy, generate", "greedy, ours"),
            ("beam 4: ours", "beam 4, generate", "beam 4, ours"),
            ("our greedy with the cache", "greedy, uncached", "greedy, ours"),
        ]
        for search in ("greedy", "beam 4") if arguments.compiled else ():
            for theirs_is in ("generate", "generate compiled"):
                slow, fast = f"{search}, {theirs_is}", f"{search}, compiled"
                pairs.append((f"{search}: ours, compiled,", slow, fast))
        for name, slow, fast in pairs:
            times = with_spread(speedup(seconds[slow], seconds[fast]), ".2f")
            print(f"  {name} is {times} x as fast as {slow}")


def against_uncached(arguments: argparse.Namespace) -> None:
    root = Path(__file__).parents[1]
    model = load_model(root / "helpers/data/translator.safetensors")
    tokenizer = Tokenizer(vocabulary())
    pairs = sorted(splits().test[: arguments.sentences], key=lambda pair: len(pair.source))
    encoded = [[*tokenizer.encode(pair.source), EOS] for pair in pairs]
    batches = [pad(encoded[i : i + 100]) for i in range(0, len(encoded), 100)]
    lengths = [int((greedy(model, b) != PAD).sum(1).max()) for b in batches]
    print(f"\nthe trained translator, {len(pairs)} test sentences, up to {max(lengths)} tokens")
    assert all(torch.equal(greedy(model, b), greedy(model, b, cached=False)) for b in batches)
    runs = {
        "without cache": lambda: [greedy(model, b, cached=False) for b in batches],
        "with cache": lambda: [greedy(model, b) for b in batches],
    }
    seconds = time_interleaved(runs, arguments.rounds)
    times = with_spread(speedup(*seconds.values()), ".2f")
    print(f"  with the cache: {times} x as fast, the same tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64], help="sentences at once")
    parser.add_argument("--source-length", type=int, default=16)
    parser.add_argument("--length", type=int, default=28, help="tokens to produce per sentence")
    parser.add_argument("--sentences", type=int, default=500, help="for cached against uncached")
    parser.add_argument("--compiled", action="store_true", help="also a compiled step (minutes)")
    add_record(parser)
    arguments = parser.parse_args()
    with recording("Decoding", arguments.record):
        print(machine())
        against_marian(arguments)
        against_uncached(arguments)


if __name__ == "__main__":
    main()

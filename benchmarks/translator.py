"""How well and how fast notebook 09's translator learns from random weights.

`--save` keeps the weights, and beside them, in german.json, which word followed which in the
sentences that it was trained on.

It prints the seconds of training, exact match on held-out sentences and on held-out combinations,
and how often the best layer's cross-attention (mean of its heads) has its largest weight on a
gold-aligned word, over all target words of the test set's references that have a gold alignment.
"""

import argparse
import time
from pathlib import Path

import torch

from benchmarks.timing import add_record, machine, recording
from helpers.batching import endless_batches
from helpers.checkpoints import save_model
from helpers.corpora.toy import join_words, splits, vocabulary
from helpers.corpora.toy_order import seen_in, to_text
from helpers.decoding import cross_attention_maps, translate
from helpers.evaluation import bleu, exact_match, pointing_accuracy, strongest_links
from helpers.files import write_text
from helpers.tokenizer import Tokenizer
from helpers.training import TrainingConfig, train, translation_loss
from helpers.transformer import Transformer, TransformerConfig

SIZES = dict(d_model=64, num_heads=4, d_ff=256, num_encoder_layers=2, num_decoder_layers=2)
SETTINGS = TrainingConfig(steps=1500, learning_rate=5e-3, warmup_steps=200, report_every=100)
MAX_TOKENS = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", type=Path, help="where to write the weights (safetensors)")
    add_record(parser)
    arguments = parser.parse_args()
    with recording("Notebook 09's translator", arguments.record):
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    print(machine())
    data, tokenizer = splits(), Tokenizer(vocabulary())
    examples = [(tokenizer.encode(p.source), tokenizer.encode(p.target)) for p in data.train]
    torch.manual_seed(0)
    config = TransformerConfig(len(tokenizer), dropout=0.0, norm_first=True, max_length=64, **SIZES)
    model = Transformer(config)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    started = time.perf_counter()
    train(
        model,
        lambda m, b: translation_loss(m, b, label_smoothing=0.1),
        lambda start: endless_batches(examples, MAX_TOKENS, seed=0, start=start),
        SETTINGS,
        report=lambda h: print(f"  step {h[-1]['step']}, {h[-1]['seconds']:.0f} s", flush=True),
    )
    print(f"training: {time.perf_counter() - started:.0f} s")
    for name in ("test", "combinations"):
        pairs = getattr(data, name)
        said = [join_words(w) for w in translate(model, tokenizer, [p.source for p in pairs])]
        truth = [p.target_text for p in pairs]
        score, signature = bleu(said, truth)
        print(f"{name}: exact match {exact_match(said, truth):.1%}, BLEU {score:.1f} ({signature})")
    right: dict[str, int] = {}
    asked = 0
    for pair in data.test:
        maps = cross_attention_maps(model, tokenizer, pair.source, pair.target)
        for layer, weights in maps.items():
            links = strongest_links(weights.mean(0)[:-1])
            good, count = pointing_accuracy(links, pair.alignment)
            right[layer] = right.get(layer, 0) + good
        asked += count
    for layer, count in right.items():
        print(f"{layer}: {count / asked:.1%} of {asked} target words point at a gold-aligned word")
    if arguments.save:
        arguments.save.parent.mkdir(exist_ok=True)
        save_model(model, arguments.save)
        write_text(arguments.save.with_name("german.json"), to_text(seen_in(data.train)))
        print(f"saved, {arguments.save.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

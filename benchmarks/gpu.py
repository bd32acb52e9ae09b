"""Training steps and decoding on a GPU, side by side in one run.

    make benchmark-gpu        (or: python -m benchmarks.gpu --part training --sizes d512)

Training: ours, torch.nn.Transformer and Hugging Face's Marian, in bfloat16, with loss at every
position and one fixed shape, each eager, compiled, and compiled with CUDA graphs. "ours, trainer"
is what `python -m helpers.trainer` runs: one graph for all shapes, and batches with padding that
come from pinned memory. A share says how much of the card's own rate of multiplying large matrices
is reached. Decoding: ours eager and ours compiled against `generate`, in float32.

Rounds are interleaved, and every figure is a median. A contender that fails is named and left out.
This needs an NVIDIA GPU; --device cpu with --sizes tiny only shows that the script works.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle, islice

import torch
from torch import nn

from benchmarks.baselines import Marian, TorchTransformer, marian
from benchmarks.decoding import VOCAB_SIZE, config_of, ours, their_generate
from helpers.batching import Batch, collate
from helpers.compiled_decoding import CompiledDecoding
from helpers.decoding import beam_search, greedy
from helpers.distributed import DataParallelWorker
from helpers.trainer.engines import (
    ENGINES,
    batches_of_few_shapes,
    inputs_of,
    loss_at_every_position,
    loss_for,
    ready_for,
)
from helpers.training import make_optimizer, training_step
from helpers.transformer import Transformer, TransformerConfig

SIZES = {
    "d512": TransformerConfig(8_000, 512, 8, 2048, 6, 6, max_length=64),
    "d256": TransformerConfig(8_000, 256, 4, 1024, 3, 3, max_length=64),
    "tiny": TransformerConfig(500, 32, 2, 64, 1, 1, max_length=64),  # to try the script
}
LENGTH, SMOOTHING, STEPS = 27, 0.1, 5  # words of a sentence; steps in a round
Step = Callable[[], object]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matrix_rate(device: torch.device) -> float:
    """FLOP/s of a large bfloat16 product."""
    size = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(10):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def flops_per_target_token(c: TransformerConfig) -> int:
    """Forward and backward, products with weights only, source as long as target."""
    encoder = c.num_encoder_layers * (4 * c.d_model**2 + 2 * c.d_model * c.d_ff)
    decoder = c.num_decoder_layers * (8 * c.d_model**2 + 2 * c.d_model * c.d_ff)
    return 6 * (encoder + decoder + c.vocab_size * c.d_model)


def sentences(count: int, vocab_size: int, shortest: int = LENGTH) -> list:
    """Random pairs of `shortest` to LENGTH words; always the same."""
    random = torch.Generator().manual_seed(0)

    def draw() -> list[int]:
        length = int(torch.randint(shortest, LENGTH + 1, (), generator=random))
        return torch.randint(4, vocab_size, (length,), generator=random).tolist()

    return [(draw(), draw()) for _ in range(count)]


def one_shape(model: nn.Module, engine: str, batch: Batch) -> Step:
    """A step on always the same batch. All contenders are compiled alike, for this shape only."""
    value, mode = loss_at_every_position, ENGINES[engine]
    if mode is not None:
        value = torch.compile(value, dynamic=False, mode=mode)
    optimizer = make_optimizer(model)

    def loss(m: nn.Module, b: Batch) -> torch.Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return value(m, *inputs_of(b), SMOOTHING).clone()

    return lambda: training_step(model, optimizer, loss, batch, "bfloat16")


def as_the_trainer(model: nn.Module, engine: str, batches: list[Batch]) -> Step:
    """A step of the trainer on its next batch, which comes through its queue."""
    device = next(model.parameters()).device
    worker = DataParallelWorker(model, loss_for(engine, device, SMOOTHING))
    stream, optimizer = ready_for(device, cycle(batches)), make_optimizer(model)

    def step() -> None:
        worker.step(model, optimizer, None, next(stream), "bfloat16")

    return step


def training(c: TransformerConfig, tokens: int, device: torch.device, rounds: int) -> None:
    """Measure and print all contenders at one size of model and of batch."""
    rate = matrix_rate(device)
    batch = collate(sentences(tokens // (LENGTH + 1), c.vocab_size))
    batch_tokens, batch = batch.num_tokens, batch.to(device)
    pairs = sentences(20 * tokens // LENGTH, c.vocab_size)
    padded = list(islice(batches_of_few_shapes(pairs, tokens), 20))
    scored = sum(b.num_tokens for b in padded) / len(padded)  # a batch, on average
    makers = {
        "ours": lambda: Transformer(c),
        "nn.Transformer": lambda: TorchTransformer(c),
        "Marian": lambda: Marian(c),
    }
    print(
        f"\n### d{c.d_model}, {c.num_encoder_layers} + {c.num_decoder_layers} layers, {tokens:,} "
        f"tokens a batch\n\nThe card multiplies matrices at {rate / 1e12:.3g} TFLOP/s.\n\n"
        "| contender | engine | target tokens/s | share of the rate | ready after |\n"
        "|---|---|---|---|---|"
    )
    found: dict[tuple[str, str], float] = {}
    for engine in ENGINES:
        if engine == "graphs" and device.type != "cuda":
            continue
        torch._dynamo.reset()
        steps: dict[str, tuple[Step, float]] = {}
        for name in (*makers, "ours, trainer"):
            torch.manual_seed(0)
            model = makers[name.partition(",")[0]]().to(device).train()
            began = time.perf_counter()
            try:
                if name == "ours, trainer":
                    step = as_the_trainer(model, engine, padded)
                else:
                    step = one_shape(model, engine, batch)
                for _ in range(4):
                    step()
                wait(device)
            except Exception as error:  # one that fails does not stop the others
                print(f"| {name} | {engine} | {type(error).__name__}: {str(error)[:90]!r} | | |")
                continue
            steps[name] = step, time.perf_counter() - began
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, (step, _) in steps.items():
                began = time.perf_counter()
                for _ in range(STEPS):
                    step()
                wait(device)
                taken[name].append((time.perf_counter() - began) / STEPS)
        for name, (_, ready) in steps.items():
            counted = scored if name == "ours, trainer" else batch_tokens
            found[name, engine] = per_second = counted / statistics.median(taken[name])
            share = per_second * flops_per_target_token(c) / rate
            print(
                f"| {name} | {engine} | {per_second:,.0f} | {share:.1%} | {ready:.0f} s |",
                flush=True,
            )
        del steps
        gc.collect()
        torch.cuda.empty_cache()
    best = lambda names: max((v, k) for k, v in found.items() if k[0] in names)
    (mine, how), (other, whose) = (
        best(("ours", "ours, trainer")),
        best(("nn.Transformer", "Marian")),
    )
    print(f"\n{how[0]} ({how[1]}) is {mine / other:.2f} times as fast as {whose[0]} ({whose[1]}).")


def decoding(device: torch.device, rounds: int, sizes: dict, batch: int = 64) -> None:
    """Sentences a second of ours, eager and compiled, and of `generate`."""
    length = 28
    for title, size in sizes.items():
        torch.manual_seed(0)
        c = config_of(*size)
        mine, theirs = ours(c).to(device), marian(c).eval().to(device)
        fast = CompiledDecoding(mine)
        ids = torch.randint(4, VOCAB_SIZE, (batch, 16), device=device)
        runs = {
            ("greedy", "generate"): lambda t=theirs, ids=ids: their_generate(t, ids, length, 1),
            ("greedy", "ours"): lambda m=mine, ids=ids: greedy(m, ids, length),
            ("greedy", "ours, compiled"): lambda f=fast, ids=ids: f.greedy(ids, length),
            ("beam 4", "generate"): lambda t=theirs, ids=ids: their_generate(t, ids, length, 4),
            ("beam 4", "ours"): lambda m=mine, ids=ids: beam_search(m, ids, 4, max_length=length),
            ("beam 4", "ours, compiled"): lambda f=fast, ids=ids: f.beam_search(
                ids, 4, max_length=length
            ),
        }
        taken: dict[tuple[str, str], list[float]] = {name: [] for name in runs}
        for number in range(rounds + 2):
            for name, run in runs.items():
                wait(device)
                began = time.perf_counter()
                run()
                wait(device)
                if number >= 2:
                    taken[name].append(time.perf_counter() - began)
        print(f"\n### Decoding: {title}, {batch} sentences of {length} tokens at once\n")
        print("| search | who | sentences/s | times generate |\n|---|---|---|---|")
        for (search, who), seconds in taken.items():
            speed = batch / statistics.median(seconds)
            ratio = statistics.median(
                [a / b for a, b in zip(taken[search, "generate"], seconds, strict=True)]
            )
            print(f"| {search} | {who} | {speed:,.0f} | {ratio:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("all", "training", "decoding"), default="all")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["d512", "d256"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[32_768, 4_096])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no NVIDIA GPU here, or torch has no CUDA")
    card = torch.cuda.get_device_name() if device.type == "cuda" else "a processor"
    print(f"{card}, torch {torch.__version__}, {datetime.now(UTC):%-d %B %Y}", flush=True)
    if arguments.part != "decoding":
        for size in arguments.sizes:
            for tokens in arguments.tokens:
                training(SIZES[size], tokens, device, arguments.rounds)
    if arguments.part != "training":
        sizes = {"d512, 6 + 6 layers": (512, 8, 2048, 6), "d256, 3 + 3 layers": (256, 4, 1024, 3)}
        if arguments.sizes == ["tiny"]:
            sizes = {"d32, 1 + 1 layers": (32, 2, 64, 1)}
        decoding(device, arguments.rounds, sizes)


if __name__ == "__main__":
    main()

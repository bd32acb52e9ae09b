"""Training steps and decoding on a GPU, side by side in one run.

    make benchmark-gpu        (or: python -m benchmarks.gpu --part training --sizes d512)

Training: ours, torch.nn.Transformer and Hugging Face's Marian, in bfloat16, with loss at every
position and one fixed shape, each eager, compiled, and compiled with CUDA graphs. "ours, trainer"
is what `python -m helpers.trainer` runs: one graph for all shapes, and batches with padding that
come from pinned memory. A share says how much of the card's own rate of multiplying large matrices
is reached. Decoding: ours eager and ours compiled against `generate`, in float32.

Compiling takes a minute or more, so the contenders of one engine compile at the same time, each in
a process of its own. Once all are ready, they are measured in turn, and nothing else runs then.
Every figure is a median of interleaved rounds, and an engine's lines are printed as soon as they
are known. A contender that fails is named and left out. To measure less, name what you want:
--part, --sizes, --tokens, --engines.

This needs an NVIDIA GPU; --device cpu with --sizes tiny only shows that the script works.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from multiprocessing.connection import Connection

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
CONTENDERS = ("ours", "nn.Transformer", "Marian", "ours, trainer")
LENGTH, SMOOTHING = 27, 0.1  # words of a sentence
WARM_UP, STEPS = 6, 5  # steps before the first round, and in each
SPAWN = multiprocessing.get_context("spawn")  # a process that was forked cannot use the GPU
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


def prepared(name: str, engine: str, c: TransformerConfig, tokens: int, device: torch.device):
    """A contender's step, and how many target tokens it trains on."""
    torch.manual_seed(0)
    makers = {"nn.Transformer": TorchTransformer, "Marian": Marian}
    model = makers.get(name, Transformer)(c).to(device).train()
    if name == "ours, trainer":
        pairs = sentences(20 * tokens // LENGTH, c.vocab_size)
        padded = list(islice(batches_of_few_shapes(pairs, tokens), 20))
        scored = sum(b.num_tokens for b in padded) / len(padded)  # a batch, on average
        return as_the_trainer(model, engine, padded), scored
    batch = collate(sentences(tokens // (LENGTH + 1), c.vocab_size))
    return one_shape(model, engine, batch.to(device)), batch.num_tokens


def contender(asked: Connection, *what) -> None:
    """A process of its own: compile, say (seconds until ready, tokens of a step), then measure.

    It sends the seconds of a step for each True that comes, until a False comes. If it fails, it
    sends the error as a string and ends.
    """
    device, began = what[-1], time.perf_counter()
    try:
        step, tokens = prepared(*what)
        for _ in range(WARM_UP):
            step()
        wait(device)
        asked.send((time.perf_counter() - began, tokens))
        while asked.recv():
            began = time.perf_counter()
            for _ in range(STEPS):
                step()
            wait(device)
            asked.send((time.perf_counter() - began) / STEPS)
    except Exception as error:  # one that fails does not stop the others
        asked.send(f"{type(error).__name__}: {' '.join(str(error).split())[:90]}")


def say(message: str) -> None:
    """Progress, kept out of the tables."""
    print(f"[{datetime.now(UTC):%H:%M:%S}] {message}", file=sys.stderr, flush=True)


def started(*what) -> Connection:
    """Our end of the line to a new process that runs `contender`."""
    here, there = SPAWN.Pipe()
    SPAWN.Process(target=contender, args=(there, *what)).start()
    there.close()  # so that this end notices when the process is gone
    return here


def measured(
    engine: str, c: TransformerConfig, tokens: int, device: torch.device, rounds: int
) -> dict[str, tuple[float, float]]:
    """Tokens a second of each contender, and the seconds it took to get ready."""
    say(f"{engine}: {len(CONTENDERS)} contenders get ready, each in a process of its own")
    there = {name: started(name, engine, c, tokens, device) for name in CONTENDERS}
    ready: dict[str, tuple[float, float]] = {}
    taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}

    def answer_of(name: str):
        """If a contender fails, this prints why, and it is left out from then on."""
        try:
            answer = there[name].recv()
        except EOFError:
            answer = "its process ended without a word"
        if isinstance(answer, str):
            print(f"| {name} | {engine} | {answer} | | |", flush=True)
            del there[name]
            return None
        return answer

    for name in CONTENDERS:
        if answer := answer_of(name):
            ready[name] = answer
            say(f"{engine}: {name} is ready")
    for _ in range(rounds):
        for name in list(there):
            there[name].send(True)
            if seconds := answer_of(name):
                taken[name].append(seconds)
    for asked in there.values():
        asked.send(False)
    return {n: (ready[n][1] / statistics.median(taken[n]), ready[n][0]) for n in there}


def training(
    c: TransformerConfig, tokens: int, device: torch.device, rounds: int, engines: Sequence[str]
) -> None:
    """Measure and print all contenders at one size of model and of batch."""
    rate = matrix_rate(device)
    print(
        f"\n### d{c.d_model}, {c.num_encoder_layers} + {c.num_decoder_layers} layers, {tokens:,} "
        f"tokens a batch\n\nThe card multiplies matrices at {rate / 1e12:.3g} TFLOP/s.\n\n"
        "| contender | engine | target tokens/s | share of the rate | ready after |\n"
        "|---|---|---|---|---|",
        flush=True,
    )
    found: dict[tuple[str, str], float] = {}
    for engine in engines:
        for name, (per_second, ready) in measured(engine, c, tokens, device, rounds).items():
            found[name, engine] = per_second
            share = per_second * flops_per_target_token(c) / rate
            print(
                f"| {name} | {engine} | {per_second:,.0f} | {share:.1%} | {ready:.0f} s |",
                flush=True,
            )
    best = lambda ours: max(
        ((v, k) for k, v in found.items() if k[0].startswith("ours") == ours), default=None
    )
    if best(True) and best(False):
        (mine, how), (other, whose) = best(True), best(False)
        print(
            f"\n{how[0]} ({how[1]}) is {mine / other:.2f} times as fast as {whose[0]} ({whose[1]})."
        )


def decoding(title: str, size: tuple, device: torch.device, rounds: int, batch: int = 64) -> None:
    """Sentences a second of ours, eager and compiled, and of `generate`."""
    length = 28
    torch.manual_seed(0)
    c = config_of(*size)
    mine, theirs = ours(c).to(device), marian(c).eval().to(device)
    fast = CompiledDecoding(mine)
    ids = torch.randint(4, VOCAB_SIZE, (batch, 16), device=device)
    searches = {
        "greedy": {
            "generate": lambda: their_generate(theirs, ids, length, 1),
            "ours": lambda: greedy(mine, ids, length),
            "ours, compiled": lambda: fast.greedy(ids, length),
        },
        "beam 4": {
            "generate": lambda: their_generate(theirs, ids, length, 4),
            "ours": lambda: beam_search(mine, ids, 4, max_length=length),
            "ours, compiled": lambda: fast.beam_search(ids, 4, max_length=length),
        },
    }
    print(f"\n### Decoding: {title}, {batch} sentences of {length} tokens at once\n")
    print("| search | who | sentences/s | times generate |\n|---|---|---|---|", flush=True)
    for search, runs in searches.items():
        say(f"{search}: compiling ours, which may take minutes")
        taken: dict[str, list[float]] = {who: [] for who in runs}
        for number in range(rounds + 2):
            for who, run in runs.items():
                wait(device)
                began = time.perf_counter()
                run()
                wait(device)
                if number >= 2:
                    taken[who].append(time.perf_counter() - began)
        for who, seconds in taken.items():
            speed = batch / statistics.median(seconds)
            pairs = zip(taken["generate"], seconds, strict=True)
            ratio = statistics.median([a / b for a, b in pairs])
            print(f"| {search} | {who} | {speed:,.0f} | {ratio:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("all", "training", "decoding"), default="all")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["d512", "d256"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[32_768, 4_096])
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no NVIDIA GPU here, or torch has no CUDA")
    engines = [e for e in arguments.engines if e != "graphs" or device.type == "cuda"]
    card = torch.cuda.get_device_name() if device.type == "cuda" else "a processor"
    print(f"{card}, torch {torch.__version__}, {datetime.now(UTC):%-d %B %Y}", flush=True)
    if arguments.part != "decoding":
        for size in arguments.sizes:
            for tokens in arguments.tokens:
                training(SIZES[size], tokens, device, arguments.rounds, engines)
    if arguments.part != "training":
        sizes = {"d512, 6 + 6 layers": (512, 8, 2048, 6), "d256, 3 + 3 layers": (256, 4, 1024, 3)}
        if arguments.sizes == ["tiny"]:
            sizes = {"d32, 1 + 1 layers": (32, 2, 64, 1)}
        for title, size in sizes.items():
            decoding(title, size, device, arguments.rounds)


if __name__ == "__main__":
    main()

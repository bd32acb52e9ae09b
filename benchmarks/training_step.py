"""One training step of ours against torch.nn.Transformer and Hugging Face's Marian, in one run.

Same work: equal numbers of parameters and norms, dropout at the same rate in the same places, the
same masks and sentences, AdamW, clipped gradients. Whatever makes one of them faster is tried with
all three: logits at real tokens only, bfloat16, either attention kernel, torch.compile. Ours draws
its dropout a byte at a time when it is not compiled, so it is also measured with nn.Dropout.
The runs are interleaved; every figure is a median over the rounds, with its quartiles. A share
says how much of the machine's own rate of multiplying large matrices a model reaches. This counts
only what has to be computed: the logits at real tokens and everything before them.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.baselines import (
    Marian,
    TorchTransformer,
    count_parameters,
    with_nn_dropout,
    with_torchs_dropout,
)
from benchmarks.timing import (
    add_record,
    machine,
    matrix_rate,
    recording,
    speedup,
    time_interleaved,
    with_spread,
)
from helpers.attention import attention, use_attention
from helpers.batching import Batch, collate
from helpers.special_ids import PAD
from helpers.training import make_optimizer, training_step, translation_loss
from helpers.transformer import Transformer, TransformerConfig

SIZES = {
    "d128": TransformerConfig(8_000, 128, 4, 256, 4, 4, max_length=64),
    "d256": TransformerConfig(8_000, 256, 4, 1024, 3, 3, max_length=64),
    "base": TransformerConfig(37_000, 512, 8, 2048, 6, 6, max_length=64),  # the paper's
}
SMOOTHING, LONGEST = 0.1, 24  # LONGEST: words of the longest sentence
Runs = dict[tuple[str, str], Callable[[], None]]  # (setting, model) -> one pass over the batches


def loss_at_every_position(model: nn.Module, batch: Batch) -> Tensor:
    logits = model(batch.source_ids, batch.target_input)
    return F.cross_entropy(
        logits.flatten(0, 1).float(),
        batch.target_labels.flatten(),
        ignore_index=PAD,
        label_smoothing=SMOOTHING,
    )


def loss_at_real_tokens(model: nn.Module, batch: Batch) -> Tensor:
    return translation_loss(model, batch, SMOOTHING)


def loss_with_explicit_softmax(model: nn.Module, batch: Batch) -> Tensor:
    """Without torch's fused kernel; ours and Marian get their kernel when they are built."""
    with sdpa_kernel(SDPBackend.MATH):
        return loss_at_real_tokens(model, batch)


def random_batches(count: int, max_tokens: int, vocab_size: int) -> list[Batch]:
    """Sentences of nearly equal length, as in a bucketed corpus; every batch has one shape."""
    generator = torch.Generator().manual_seed(0)

    def draw(low: int, high: int, size: int) -> list[int]:
        return torch.randint(low, high, (size,), generator=generator).tolist()

    def sentences(number: int) -> list[list[int]]:
        lengths = [LONGEST, *draw(LONGEST - 4, LONGEST + 1, number - 1)]
        return [draw(4, vocab_size, length) for length in lengths]

    number = max(1, max_tokens // (LONGEST + 1))
    pairs = (zip(sentences(number), sentences(number), strict=True) for _ in range(count))
    return [collate(list(examples)) for examples in pairs]


def trainer(model: nn.Module, batches, loss, precision: str = "float32") -> Callable[[], None]:
    """A function that trains the model on each of the batches once."""
    optimizer = make_optimizer(model.train())

    def one_pass() -> None:
        for batch in batches:
            training_step(model, optimizer, loss, batch, precision)

    return one_pass


def eager_runs(config: TransformerConfig, models: dict, batches: list[Batch]) -> Runs:
    """Everything that needs no compiler."""
    every, real, explicit = loss_at_every_position, loss_at_real_tokens, loss_with_explicit_softmax
    setting = "dropout where nn.Transformer has it"
    runs = {
        (setting, "nn.Transformer"): trainer(TorchTransformer(config, False), batches, every),
        (setting, "ours"): trainer(with_torchs_dropout(Transformer(config)), batches, every),
    }
    setting = "the paper's dropout, here and below"
    eager = models | {"ours with nn.Dropout": with_nn_dropout(Transformer(config))}
    runs |= {(setting, name): trainer(model, batches, every) for name, model in eager.items()}
    formula = {
        "nn.Transformer": models["nn.Transformer"],
        "Marian": Marian(config, "eager"),
        "ours": Transformer(config),
    }
    use_attention(formula["ours"], attention)
    for precision in ("float32", "bfloat16"):
        setting = f"logits at real tokens, {precision}"
        for name, model in eager.items():
            runs[setting, name] = trainer(model, batches, real, precision)
        setting += ", explicit softmax"
        for name, model in formula.items():
            runs[setting, name] = trainer(model, batches, explicit, precision)
    return runs


def compiled_runs(models: dict, batches: list[Batch]) -> Runs:
    """The whole model in torch.compile, static shapes; prints what dynamo made of each."""
    torch._dynamo.reset()
    inputs = batches[0].source_ids, batches[0].target_input
    for name, model in models.items():
        found = torch._dynamo.explain(model.train())(*inputs)
        print(f"  {name:16s} graphs: {found.graph_count}, breaks: {found.graph_break_count}")
    torch._dynamo.reset()
    runs: Runs = {}
    for precision in ("float32", "bfloat16"):
        for name, model in models.items():
            # With fullgraph, a graph break in ours would be an error here.
            compiled = torch.compile(model, dynamic=False, fullgraph=name == "ours")
            run = trainer(compiled, batches, loss_at_every_position, precision)
            started = time.perf_counter()
            run()
            took = time.perf_counter() - started
            print(f"  {name:16s} {precision} compiled in {took:.0f} s", flush=True)
            runs[f"compiled, {precision}", name] = run
    return runs


def why_not_compiled() -> str:
    """Empty if torch.compile works here, otherwise a sentence that says what is missing."""
    try:
        torch.compile(lambda x: (2 * x).sum())(torch.ones(1000))
    except Exception as error:  # whatever stops it, the other figures can still be measured
        if "C++ compiler" in str(error):
            return "No compiled figures: torch.compile needs a C++ compiler such as g++ or clang++."
        return f"No compiled figures: torch.compile does not work here ({type(error).__name__})."
    return ""


def operations(model: nn.Module, batches: list[Batch]) -> int:
    """What a pass has to compute: multiplications and additions in its matrix products.

    Counted with the explicit formula, because the counter does not know every fused kernel.
    """
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            loss_with_explicit_softmax(model, batch).backward()
    model.zero_grad()
    return counter.get_total_flops()


def report(
    seconds: dict[tuple[str, str], list[float]],
    tokens: int,
    work: int,
    rates: dict[torch.dtype, float],
) -> None:
    """Every figure with its share of the machine's rate, and how ours compares; each at its best.

    work: operations of one pass; rates: operations a second in float32 and in bfloat16.
    """
    title = None
    for (setting, name), taken in seconds.items():
        if setting != title:
            print(f"\n  {setting}")
            title = setting
        rate = rates[torch.bfloat16 if "bfloat16" in setting else torch.float32]
        share = work / statistics.median(taken) / rate
        line = (
            f"    {name:21s} {with_spread([tokens / s for s in taken], ',.0f'):23s}{share:5.0%}  "
        )
        if name != "ours":
            line += (
                f"ours: {with_spread(speedup(taken, seconds[setting, 'ours']), '.2f')} x as fast"
            )
        print(line.rstrip())

    def best(family: str) -> tuple[str, str]:
        keys = [key for key in seconds if key[1] == family]
        return min(keys, key=lambda key: statistics.median(seconds[key]))

    ours = best("ours")
    print(f"\n  each at its best; ours: {ours[0]}")
    for other in (best("nn.Transformer"), best("Marian")):
        times = with_spread(speedup(seconds[other], seconds[ours]), ".2f")
        print(f"    ours is {times} x as fast as {other[1]}: {other[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=2048, help="padded tokens per batch")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["d128", "d256"])
    parser.add_argument("--eager", action="store_true", help="leave torch.compile out")
    add_record(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:  # so that nothing has been compiled before
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        missing = "Nothing is compiled here." if arguments.eager else why_not_compiled()
        for title in arguments.sizes:
            with recording(f"One training step, {title}", arguments.record):
                print(machine())
                print(missing or "Compiled: the whole model, one static shape for all three.")
                compare(title, arguments.tokens, arguments.rounds, compiling=not missing)


def compare(title: str, max_tokens: int, rounds: int, compiling: bool) -> None:
    """Measure and report all runs of one size."""
    c = SIZES[title]
    torch.manual_seed(0)
    batches = random_batches(2, max_tokens, c.vocab_size)
    models = {
        "nn.Transformer": TorchTransformer(c),
        "Marian": Marian(c),
        "ours": Transformer(c),
    }
    tokens = sum(batch.num_tokens for batch in batches)
    counts = ", ".join(f"{name} {count_parameters(m):,}" for name, m in models.items())
    print(
        f"\n{title}: d_model {c.d_model}, d_ff {c.d_ff}, {c.num_encoder_layers} + "
        f"{c.num_decoder_layers} layers, {c.vocab_size:,} words, dropout {c.dropout}\n"
        f"  parameters: {counts}\n"
        f"  batches of {tuple(batches[0].source_ids.shape)}, {len(batches)} a pass, {rounds} rounds"
    )
    runs = eager_runs(c, models, batches)
    if compiling:
        runs |= compiled_runs(models, batches)
    work = operations(models["ours"], batches)
    seconds = time_interleaved(runs, rounds)
    rates = {dtype: matrix_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    shown = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {dtype}" for dtype, rate in rates.items())
    print(f"  the machine multiplies matrices at {shown.replace('torch.', '')}")
    print("  target tokens per second, median (quartiles), and the share of that rate:")
    report(seconds, tokens, work, rates)


if __name__ == "__main__":
    main()

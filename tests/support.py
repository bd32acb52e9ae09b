"""What several test files need: sizes, tolerances, small models, and copies of them in torch.nn."""

import contextlib
import functools
import http.server
import os
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import helpers
from helpers.attention import MultiHeadAttention
from helpers.batching import endless_batches
from helpers.checkpoints import load_model
from helpers.corpora.toy import vocabulary
from helpers.distributed import SHARDS_ON_CPU
from helpers.lessons.torch_nn import attention_pairs, copy_weights
from helpers.special_ids import EOS
from helpers.tokenizer import Tokenizer
from helpers.training import TrainingConfig
from helpers.transformer import Transformer, TransformerConfig

ROOT = Path(__file__).parents[1]
EXACT = {"rtol": 0, "atol": 1e-10}  # for float64
# Batch, heads, target, source, …: pairwise different, so that a swapped axis cannot pass.
B, H, T, S, D_MODEL, D_FF = 2, 4, 3, 5, 16, 24
SIZES = (D_MODEL, H, D_FF)  # of a layer
SOURCE_IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])  # the second is padded
TARGET_IDS = torch.tensor([[1, 11, 12, 13], [1, 14, 15, 16]])
SENTENCES = [[5, 6, 7, 8, EOS], [9, EOS], [10, 11, 12, EOS]]  # as ids, to be padded
WORDS = [f"w{i}" for i in range(4, 23)]  # a vocabulary for tiny_model


needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows cannot kill or interrupt a process by a signal"
)
needs_shards = pytest.mark.skipif(
    torch.__version__ < SHARDS_ON_CPU, reason=f"needs torch {SHARDS_ON_CPU}"
)


def cache_in(folder: Path, monkeypatch) -> None:
    """From now on `multi30k.cache_folder` is below this folder, on every system."""
    for name in ("XDG_CACHE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA"):  # what platformdirs reads
        monkeypatch.setenv(name, str(folder))


def seeds(count: int) -> list:
    """0 … count - 1 for parametrize. `make check` tries the first, `make test` tries them all."""
    return [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, count))]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def states(length: int, seed: int) -> torch.Tensor:
    """What goes into a layer, (B, length, D_MODEL); gradients with respect to it are kept."""
    return random(B, length, D_MODEL, seed=seed).requires_grad_()


def assert_same_gradients(output, expected, inputs) -> None:
    """Both outputs, as functions of the inputs, have the same gradients, and not just zeros."""
    weights = random(*output.shape, seed=9)  # a plain sum has no gradient behind a norm
    got = torch.autograd.grad((output * weights).sum(), inputs)
    want = torch.autograd.grad((expected * weights).sum(), inputs)
    for ours, theirs in zip(got, want, strict=True):
        assert theirs.abs().max() > 1e-6
        torch.testing.assert_close(ours, theirs, **EXACT)


# ---- Untrained models --------------------------------------------------------------------------


def tiny_model(
    norm_first: bool = False, dropout: float = 0.0, seed: int = 0, kind: type = Transformer
) -> Transformer:
    """A model of pairwise different sizes in float64, or a broken one of another `kind`."""
    torch.manual_seed(seed)
    config = TransformerConfig(
        vocab_size=23,
        d_model=D_MODEL,
        num_heads=H,
        d_ff=D_FF,
        num_encoder_layers=2,
        num_decoder_layers=3,
        dropout=dropout,
        norm_first=norm_first,
        max_length=32,
    )
    model = kind(config).double()
    with torch.no_grad():  # norms and biases away from 1 and 0, so that a lost one shows
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def let_it_end(model: nn.Module) -> nn.Module:
    """Nudge an untrained model so that its sentences end, at different lengths."""
    with torch.no_grad():
        model.output.weight[EOS] += 0.25
    return model.eval()


def model_that_ends(seed: int, **options) -> Transformer:
    return let_it_end(tiny_model(seed=seed, **options))


def attention_twin(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    """The same attention in torch.nn, with the same weights; whole stacks are `to_torch`."""
    twin = nn.MultiheadAttention(ours.d_model, ours.num_heads, batch_first=True)
    twin = twin.to(ours.w_q.weight.dtype)
    copy_weights(attention_pairs(ours, twin), ours_to_theirs=True)
    return twin


# ---- A trained model ---------------------------------------------------------------------------


@functools.cache
def trained_translator() -> tuple[Transformer, Tokenizer]:
    """The translator that notebook 00 opens with. It is shared, so leave it as it is."""
    path = Path(helpers.__file__).parent / "data" / "translator.safetensors"
    return load_model(path), Tokenizer(vocabulary())


# Words that would do harm if a page took them for markup, and look odd if it changed them.
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "$x$", "&lt;", "{}"]


# ---- A training run of a second ----------------------------------------------------------------

EXAMPLES = [([4 + i % 9, 5, 6 + i % 5], [4 + i % 9, 8 + i % 5]) for i in range(60)]
SHORT_RUN = TrainingConfig(steps=12, warmup_steps=3, report_every=4)


def small_model(**changes) -> Transformer:
    """The model that the tests of training and checkpoints train and save."""
    torch.manual_seed(1)
    sizes = dict(d_model=16, num_heads=2, d_ff=24, num_encoder_layers=1, num_decoder_layers=2)
    return Transformer(TransformerConfig(**{"vocab_size": 20, **sizes, **changes}))


def batches(start: int):
    return endless_batches(EXAMPLES, 60, seed=3, start=start)


def copies_of_parameters(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def all_equal(some, others) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


# A history as `train` returns it, made up, for curves
HISTORY = [
    {"step": s, "seconds": s / 50, "tokens_per_second": 9e3, "train_loss": 5 / s + 1}
    | {"validation_loss": 4 / s, "learning_rate": 1 / s}
    for s in range(1, 12)
]


# ---- Pages in a browser ------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64  # a page asks for twenty files at once, and a busy machine is slow


@contextlib.contextmanager
def served(folder: Path):
    """The address of a folder on this machine."""
    with Server(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def serious(page) -> list[str]:
    """What axe-core calls serious or critical. A page's code is looked at for short pages only:
    its thousands of coloured spans take most of axe's time and have one style."""
    sync = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = None if page.locator("pre").count() < 60 else {"exclude": ["pre"]}
    # preload would fetch the style sheets again, and some of them from a wrong address.
    options = {"resultTypes": ["violations"], "preload": False}
    found = sync.Axe().run(page, context, options).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:120]}"
        for v in found
        if v["impact"] in {"serious", "critical"}
    ]

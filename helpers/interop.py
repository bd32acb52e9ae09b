"""Published weights into our classes: Marian, and torch's nn.Transformer both ways. Notebook 14.

`from_marian` reads a checkpoint of Helsinki-NLP's translators (Junczys-Dowmunt et al. 2018;
Tiedemann and Thottingal 2020), which differs from the paper in four small ways; `helpers/t5.py`
reads T5, which differs in more.
"""

import json
import pickle
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.decoder import Decoder
from helpers.encoder import Encoder
from helpers.layers import FeedForward
from helpers.masks import BOS, EOS, PAD, UNK
from helpers.transformer import Transformer, TransformerConfig

Pairs = list[tuple[Tensor, Tensor]]  # (ours, theirs)
Names = Iterable[tuple[str, str]]  # (their name of a weight, ours)
SPECIAL_IDS = ("pad_token_id", "decoder_start_token_id", "eos_token_id")
ACTIVATIONS = {"relu": torch.relu, "swish": F.silu, "silu": F.silu, "gelu": F.gelu}


class Vocabulary:
    """Between a checkpoint's ids and ours, in which PAD, BOS, EOS and UNK are 0 to 3.

    Where the checkpoint starts sentences with its padding (Marian, T5), our BOS is a row of its
    own with the same numbers, because our masks hide padding.
    """

    def __init__(self, vocab_size: int, pad: int, start: int, eos: int, unk: int):
        special = [pad, start, eos, unk]
        others = [i for i in range(vocab_size) if i not in special]
        self.rows = torch.tensor([*special, *others])  # our id -> theirs
        self.ours = torch.empty(vocab_size, dtype=torch.long)  # their id -> ours
        self.ours[self.rows] = torch.arange(len(self.rows))
        self.ours[[pad, eos, unk]] = torch.tensor([PAD, EOS, UNK])  # BOS only stands first
        self.twin_start = start in (pad, eos, unk)

    def __len__(self) -> int:
        return len(self.rows)

    def encode(self, theirs: Tensor) -> Tensor:
        """Their ids (…) -> ours (…)."""
        return self.ours.to(theirs.device)[theirs]

    def decode(self, ours: Tensor) -> Tensor:
        """Our ids (…) -> theirs (…)."""
        return self.rows.to(ours.device)[ours]

    def bias(self, theirs: Tensor) -> Tensor:
        """Their output bias (vocab_size,) -> ours; a BOS that they do not have is never said."""
        bias = theirs[self.rows].clone()
        if self.twin_start:
            bias[BOS] = -torch.inf
        return bias


# ---- Reading a checkpoint ------------------------------------------------------------------


def read_checkpoint(path_or_name: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """(settings, weights) of a checkpoint: a folder, or a name on the Hugging Face hub.

    A folder holds config.json and model.safetensors (or pytorch_model.bin, read without running
    anything it may contain). Files from the hub are kept in its cache; what is there needs no
    network. Raises FileNotFoundError or OSError saying what is missing, ValueError if damaged.
    """
    folder = Path(path_or_name)
    if not folder.is_dir():
        folder = fetch_checkpoint(str(path_or_name))
    settings, safe, pickled = (
        folder / name for name in ("config.json", "model.safetensors", "pytorch_model.bin")
    )
    if not settings.is_file() or not (safe.is_file() or pickled.is_file()):
        raise FileNotFoundError(
            f"{str(folder)!r} must hold config.json and model.safetensors (or pytorch_model.bin), "
            f"it holds {sorted(p.name for p in folder.iterdir())}"
        )
    try:
        if safe.is_file():
            weights = load_file(safe)
        else:
            weights = torch.load(pickled, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the weights in {str(folder)!r} are damaged ({reason})") from None
    weights = {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}
    return json.loads(settings.read_text(encoding="utf8")), weights


def fetch_checkpoint(name: str) -> Path:
    """The folder of a checkpoint from the hub, downloaded once, with progress."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HFValidationError
    except ImportError:
        raise OSError("to fetch checkpoints by name: pip install transformers") from None
    try:
        settings = hf_hub_download(name, "config.json")
        try:
            hf_hub_download(name, "model.safetensors")
        except EntryNotFoundError:
            hf_hub_download(name, "pytorch_model.bin")
    except HFValidationError:
        raise FileNotFoundError(
            f"path_or_name={name!r} is neither a folder nor a checkpoint's name"
        ) from None
    except Exception as error:  # the hub's errors have no common parent
        raise OSError(
            f"{name!r} is no folder here and could not be fetched ({type(error).__name__}). With a "
            "network, check the name; without, give the path of a folder that holds the checkpoint"
        ) from error
    return Path(settings).parent


def need(settings: Mapping, present: Iterable[str], **wanted) -> None:
    """Raise ValueError for settings that are absent, or not of the kind that we can build.

    A wanted setting may be absent: then it has the wanted value by default.
    """
    absent = [name for name in present if name not in settings]
    if absent:
        raise ValueError(f"config.json must say {', '.join(absent)}")
    wrong = [
        f"{name}={settings[name]!r} (must be {value!r})"
        for name, value in wanted.items()
        if settings.get(name, value) != value
    ]
    if wrong:
        raise ValueError(f"this checkpoint is of a kind that is not built here: {', '.join(wrong)}")


def assign(model: nn.Module, weights: Mapping[str, Tensor], names: Names) -> None:
    """Copy every weight to where `names` says, or raise ValueError and copy none.

    The error names weights that are missing, that nobody asked for, and that do not fit.
    """
    names, parameters = list(names), dict(model.named_parameters())
    asked = {theirs for theirs, _ in names}
    missing, unknown = sorted(asked - weights.keys()), sorted(weights.keys() - asked)
    if missing or unknown:
        raise ValueError(f"weights missing: {missing}; weights unknown: {unknown}")
    for theirs, ours in names:
        if weights[theirs].shape != parameters[ours].shape:
            raise ValueError(
                f"{theirs} must be {tuple(parameters[ours].shape)}, "
                f"it is {tuple(weights[theirs].shape)}"
            )
    with torch.no_grad():
        for theirs, ours in names:
            parameters[ours].copy_(weights[theirs])


def pop_copies(weights: dict[str, Tensor], shared: str, copies: Iterable[str]) -> None:
    """Remove other names of one matrix. Raises ValueError if one of them is not the same matrix."""
    for name in copies:
        if name in weights and not torch.equal(weights.pop(name), weights[shared]):
            raise ValueError(f"{name} must be the same matrix as {shared} (tied), and is not")


def with_output_bias(model: Transformer, bias: Tensor) -> None:
    """Give the output layer a bias; its matrix stays tied to the embeddings."""
    output = nn.Linear(model.config.d_model, model.config.vocab_size)
    output.weight = model.output.weight
    output.bias.data = bias
    model.output = output


# ---- Marian --------------------------------------------------------------------------------


MARIAN = {  # what config.json calls our sizes
    "d_model": "d_model",
    "encoder_attention_heads": "num_heads",
    "encoder_ffn_dim": "d_ff",
    "encoder_layers": "num_encoder_layers",
    "decoder_layers": "num_decoder_layers",
    "dropout": "dropout",
    "max_position_embeddings": "max_length",
}


def from_marian(path_or_name: str | Path, unk: int = 1) -> tuple[Transformer, Vocabulary]:
    """A Marian checkpoint in our Transformer, in evaluation mode, and the way between the ids.

    Four differences to the paper's model: swish for ReLU, sines and cosines in two halves
    instead of alternating, a bias on the logits, and padding as the first target token.
    `unk` is the id of the unknown piece in its tokenizer. Raises as read_checkpoint does, and
    ValueError naming settings that we do not build and weights that are missing or unknown.
    """
    s, weights = read_checkpoint(path_or_name)
    need(
        s,
        (*MARIAN, "vocab_size", "scale_embedding", "activation_function", *SPECIAL_IDS),
        model_type="marian",
        scale_embedding=True,
        static_position_embeddings=True,
        normalize_before=False,
        normalize_embedding=False,
        add_final_layer_norm=False,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        decoder_ffn_dim=s.get("encoder_ffn_dim"),
        decoder_attention_heads=s.get("encoder_attention_heads"),
    )
    if s["activation_function"] not in ACTIVATIONS:
        raise ValueError(
            f"activation_function must be one of {', '.join(ACTIVATIONS)}, "
            f"got {s['activation_function']!r}"
        )
    ids = Vocabulary(s["vocab_size"], *(s[name] for name in SPECIAL_IDS), unk)
    config = TransformerConfig(len(ids), **{ours: s[theirs] for theirs, ours in MARIAN.items()})
    model = Transformer(config)
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.activation = ACTIVATIONS[s["activation_function"]]
    for embedding in (model.source_embedding, model.target_embedding):
        embedding.positions = in_halves(embedding.positions)

    need_rows(weights, "model.shared.weight", s["vocab_size"])
    if "final_logits_bias" not in weights:
        raise ValueError("weights missing: ['final_logits_bias']")
    copies = ("lm_head", "model.encoder.embed_tokens", "model.decoder.embed_tokens")
    pop_copies(weights, "model.shared.weight", (f"{name}.weight" for name in copies))
    for side in ("encoder", "decoder"):  # a table that anyone can compute; ours is the same
        weights.pop(f"model.{side}.embed_positions.weight", None)
    weights["model.shared.weight"] = weights["model.shared.weight"][ids.rows]
    with_output_bias(model, ids.bias(weights.pop("final_logits_bias")[0]))
    assign(model, weights, marian_names(config))
    return model.eval(), ids


def need_rows(weights: Mapping[str, Tensor], name: str, rows: int) -> None:
    """Raise ValueError unless the shared matrix is there and has a row for each piece."""
    if name not in weights:
        raise ValueError(f"weights missing: {[name]}")
    if len(weights[name]) != rows:
        raise ValueError(f"{name} must have vocab_size={rows} rows, it has {len(weights[name])}")


def in_halves(positions: Tensor) -> Tensor:
    """sin, cos, sin, cos, … -> all sines, then all cosines: (length, d_model), the same numbers."""
    return torch.cat([positions[:, 0::2], positions[:, 1::2]], dim=1)


def marian_names(config: TransformerConfig) -> Iterator[tuple[str, str]]:
    """(Marian's name, ours) of every weight; the output's matrix is the shared embedding."""
    yield "model.shared.weight", "source_embedding.token.weight"
    attention = {"q_proj": "w_q", "k_proj": "w_k", "v_proj": "w_v", "out_proj": "w_o"}
    parts = {f"self_attn.{t}": f"self_attention.{o}" for t, o in attention.items()} | {
        "self_attn_layer_norm": "add_norm_self.norm",
        "fc1": "feed_forward.w_1",
        "fc2": "feed_forward.w_2",
        "final_layer_norm": "add_norm_ff.norm",
    }
    cross = {f"encoder_attn.{t}": f"cross_attention.{o}" for t, o in attention.items()} | {
        "encoder_attn_layer_norm": "add_norm_cross.norm"
    }
    sides = (
        ("encoder", config.num_encoder_layers, parts),
        ("decoder", config.num_decoder_layers, parts | cross),
    )
    for side, layers, names in sides:
        for i in range(layers):
            for theirs, ours in names.items():
                for kind in ("weight", "bias"):
                    yield (
                        f"model.{side}.layers.{i}.{theirs}.{kind}",
                        f"{side}.layers.{i}.{ours}.{kind}",
                    )


# ---- torch.nn ------------------------------------------------------------------------------


def to_torch(model: Transformer) -> nn.Transformer:
    """The two stacks with the same weights as an nn.Transformer (batch_first, without dropout).

    Embeddings and output are not part of nn.Transformer. Post-norm stacks get no further norm at
    their end: torch.nn adds one, the paper has none.
    """
    c = model.config
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")  # torch's note on its fast path
        theirs = nn.Transformer(
            c.d_model,
            c.num_heads,
            c.num_encoder_layers,
            c.num_decoder_layers,
            c.d_ff,
            dropout=0.0,
            batch_first=True,
            norm_first=c.norm_first,
        ).to(next(model.parameters()).dtype)
    if not c.norm_first:
        theirs.encoder.norm = theirs.decoder.norm = None
    for side in ("encoder", "decoder"):
        copy_stack(getattr(model, side), getattr(theirs, side), ours_to_theirs=True)
    return theirs


def from_torch(theirs: nn.Transformer) -> tuple[Encoder, Decoder]:
    """Our two stacks with the weights of an nn.Transformer, in evaluation mode.

    A post-norm nn.Transformer ends each stack in one more norm; ours then has it too, and none
    where theirs has none. Raises ValueError for another activation than ReLU, for layers without
    biases, and for another ε in the norms than 1e-5.
    """
    layer = theirs.encoder.layers[0]
    if layer.activation not in (F.relu, torch.relu) and not isinstance(layer.activation, nn.ReLU):
        raise ValueError(f"activation must be ReLU, got {layer.activation}")
    if layer.linear1.bias is None:
        raise ValueError("bias must be True in nn.Transformer, got False")
    if layer.norm1.eps != 1e-5:
        raise ValueError(f"layer_norm_eps must be 1e-5 in nn.Transformer, got {layer.norm1.eps}")
    sizes = (layer.self_attn.embed_dim, layer.self_attn.num_heads, layer.linear1.out_features)
    more = (layer.dropout1.p, layer.norm_first)
    stacks = (
        Encoder(len(theirs.encoder.layers), *sizes, *more),
        Decoder(len(theirs.decoder.layers), *sizes, *more),
    )
    for ours, stack in zip(stacks, (theirs.encoder, theirs.decoder), strict=True):
        ours.to(layer.linear1.weight.dtype)
        if stack.norm is not None and isinstance(ours.norm, nn.Identity):
            ours.norm = nn.LayerNorm(sizes[0], dtype=layer.linear1.weight.dtype)
        if stack.norm is None:
            ours.norm = nn.Identity()
        copy_stack(ours, stack, ours_to_theirs=False)
        ours.eval()
    return stacks


def copy_stack(ours: nn.Module, theirs: nn.Module, ours_to_theirs: bool) -> None:
    """Copy all weights of an encoder or a decoder, in either direction."""
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        copy_layer(mine, other, ours_to_theirs)
    if theirs.norm is not None:
        copy_weights(both(ours.norm, theirs.norm), ours_to_theirs)


def copy_layer(ours: nn.Module, theirs: nn.Module, ours_to_theirs: bool) -> None:
    """Copy all weights of an encoder or decoder layer, in either direction."""
    crossing = hasattr(theirs, "multihead_attn")
    pairs = attention_pairs(ours.self_attention, theirs.self_attn)
    pairs += both(ours.add_norm_self.norm, theirs.norm1)
    if crossing:
        pairs += attention_pairs(ours.cross_attention, theirs.multihead_attn)
        pairs += both(ours.add_norm_cross.norm, theirs.norm2)
    pairs += both(ours.feed_forward.w_1, theirs.linear1)
    pairs += both(ours.feed_forward.w_2, theirs.linear2)
    pairs += both(ours.add_norm_ff.norm, theirs.norm3 if crossing else theirs.norm2)
    copy_weights(pairs, ours_to_theirs)


def attention_pairs(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> Pairs:
    """torch.nn keeps W_Q, W_K and W_V in one matrix, one above the other."""
    pairs = both(ours.w_o, theirs.out_proj)
    weights, biases = theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3)
    for linear, weight, bias in zip((ours.w_q, ours.w_k, ours.w_v), weights, biases, strict=True):
        pairs += [(linear.weight, weight), (linear.bias, bias)]
    return pairs


def both(ours: nn.Module, theirs: nn.Module) -> Pairs:
    return [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]


@torch.no_grad()
def copy_weights(pairs: Pairs, ours_to_theirs: bool) -> None:
    for mine, other in pairs:
        source, target = (mine, other) if ours_to_theirs else (other, mine)
        target.copy_(source)

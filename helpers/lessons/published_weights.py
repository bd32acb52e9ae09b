"""Read a published checkpoint and copy its weights into our classes. Built in notebook 14."""

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.checkpoints import copy_parameters
from helpers.special_ids import BOS, EOS, PAD, UNK
from helpers.transformer import Transformer

Names = Iterable[tuple[str, str]]  # (their name of a weight, ours)
SPECIAL_IDS = ("pad_token_id", "decoder_start_token_id", "eos_token_id")
INDEX = "model.safetensors.index.json"  # lists the files, if the weights are in several
ACTIVATIONS = {"relu": torch.relu, "swish": F.silu, "silu": F.silu, "gelu": F.gelu}


class Vocabulary:
    """The map between a checkpoint's ids and ours, in which PAD, BOS, EOS and UNK are 0 to 3.

    If the checkpoint starts sentences with its padding, as Marian and T5 do, our BOS gets a row of
    its own with the same numbers, because our masks hide padding.
    Raises ValueError unless each of the four is one id of that vocabulary, and pad, eos and unk
    are three different ones.
    """

    def __init__(self, vocab_size: int, pad: int, start: int, eos: int, unk: int):
        for name, i in dict(pad=pad, start=start, eos=eos, unk=unk).items():
            if not isinstance(i, int) or not 0 <= i < vocab_size:
                raise ValueError(f"{name} must be one id in [0, {vocab_size}), got {i!r}")
        special = [pad, start, eos, unk]
        if len({pad, eos, unk}) < 3:
            raise ValueError(
                f"pad, eos and unk must be three different ids, got {pad}, {eos} and {unk}"
            )
        others = [i for i in range(vocab_size) if i not in special]
        self.rows = torch.tensor([*special, *others])  # our id -> theirs
        self.ours = torch.empty(vocab_size, dtype=torch.long)  # their id -> ours
        self.ours[self.rows] = torch.arange(len(self.rows))
        self.ours[[pad, eos, unk]] = torch.tensor([PAD, EOS, UNK])  # BOS only comes first
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
        """Their output bias (vocab_size,) -> ours; a BOS that they do not have is never chosen."""
        bias = theirs[self.rows]
        if self.twin_start:
            bias[BOS] = -torch.inf
        return bias


def read_checkpoint(path_or_name: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """(settings, weights) of a checkpoint: a folder, or a name on the Hugging Face hub.

    A folder holds config.json and either model.safetensors (one file, or several that
    model.safetensors.index.json lists) or pytorch_model.bin, which is read without running any code
    that it may contain. Files from the hub are kept in its cache and need no network after that.
    Raises FileNotFoundError or OSError saying what is missing, ValueError if a file is damaged.
    """
    folder = Path(path_or_name)
    if not folder.is_dir():
        folder = fetch_checkpoint(str(path_or_name))
    settings, safe, index, pickled = (
        folder / name for name in ("config.json", "model.safetensors", INDEX, "pytorch_model.bin")
    )
    if not settings.is_file() or not any(path.is_file() for path in (safe, index, pickled)):
        raise FileNotFoundError(
            f"{str(folder)!r} must hold config.json and model.safetensors (or pytorch_model.bin), "
            f"but it holds {sorted(p.name for p in folder.iterdir())}"
        )
    try:
        if safe.is_file():
            weights = load_file(safe)
        elif index.is_file():
            weights = {}
            for name in shards(index.read_text(encoding="utf8")):
                if not (folder / name).is_file():
                    raise FileNotFoundError(f"{str(folder)!r} lacks {name}, a part of the weights")
                weights |= load_file(folder / name)
        else:
            weights = torch.load(pickled, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the weights in {str(folder)!r} are damaged ({reason})") from None
    weights = {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}
    return json.loads(settings.read_text(encoding="utf8")), weights


def shards(index: str) -> list[str]:
    """The files that an index lists. Raises ValueError if it lists none, or files elsewhere."""
    try:
        names = sorted(set(json.loads(index)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{INDEX} is damaged: it must list its files in weight_map") from None
    if outside := [name for name in names if Path(name).name != name]:
        raise ValueError(f"{INDEX} must name files beside it, got {outside}")
    return names


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
            try:
                index = Path(hf_hub_download(name, INDEX)).read_text(encoding="utf8")
                for shard in shards(index):
                    hf_hub_download(name, shard)
            except EntryNotFoundError:
                hf_hub_download(name, "pytorch_model.bin")
    except HFValidationError:
        raise FileNotFoundError(
            f"path_or_name={name!r} is neither a folder nor a checkpoint's name"
        ) from None
    except Exception as error:  # the hub's errors have no common parent
        raise OSError(
            f"{name!r} is not a folder here and could not be fetched ({type(error).__name__}). "
            "With a network, check the name; without one, name a folder that holds the checkpoint"
        ) from error
    return Path(settings).parent


def need(settings: Mapping, present: Iterable[str], **wanted: object) -> None:
    """Raise ValueError for settings that are absent, or that are not supported here.

    A wanted setting may be absent, because then it has the wanted value by default.
    """
    absent = [name for name in present if name not in settings]
    if absent:
        raise ValueError(f"config.json must set {', '.join(absent)}")
    wrong = [
        f"{name}={settings[name]!r} (must be {value!r})"
        for name, value in wanted.items()
        if settings.get(name, value) != value
    ]
    if wrong:
        raise ValueError(f"this kind of checkpoint is not supported here: {', '.join(wrong)}")


def need_rows(weights: Mapping[str, Tensor], name: str, rows: int) -> None:
    """Raise ValueError unless the shared matrix is there and has a row for each piece."""
    if name not in weights:
        raise ValueError(f"weights missing: {[name]}")
    if len(weights[name]) != rows:
        raise ValueError(f"{name} must have vocab_size={rows} rows, got {len(weights[name])}")


def assign(model: nn.Module, weights: Mapping[str, Tensor], names: Names) -> None:
    """Copy every weight to where `names` says, or raise ValueError and copy none.

    The error names the weights that are missing, unknown or of the wrong shape, and the parameters
    of the model for which there are none.
    """
    ours = dict(names)  # their name -> ours
    missing, unknown = sorted(ours.keys() - weights.keys()), sorted(weights.keys() - ours.keys())
    if missing or unknown:
        raise ValueError(f"weights missing: {missing}; weights unknown: {unknown}")
    renamed = {ours[name]: weight for name, weight in weights.items()}
    theirs = {our_name: their_name for their_name, our_name in ours.items()}
    copy_parameters(model, renamed, "the checkpoint", called=theirs)


def pop_copies(weights: dict[str, Tensor], shared: str, copies: Iterable[str]) -> None:
    """Remove other names of one matrix. Raises ValueError if one of them is not the same matrix."""
    for name in copies:
        if name in weights and not torch.equal(weights.pop(name), weights[shared]):
            raise ValueError(f"{name} must be the same matrix as {shared} (tied), but it is not")


def with_output_bias(model: Transformer, bias: Tensor) -> None:
    """Give the output layer a bias; its matrix stays tied to the embeddings."""
    output = nn.Linear(model.config.d_model, model.config.vocab_size)
    output.weight = model.output.weight
    output.bias.data = bias
    model.output = output

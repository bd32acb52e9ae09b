"""Save and load models, safely: safetensors (never pickle), written whole or not at all.

Used in notebooks 00, 09 and 13.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from helpers.files import write_file
from helpers.layers import Embedding, sinusoidal_positions
from helpers.transformer import Transformer, TransformerConfig

KEY = "facts"  # the entry of a file that holds its metadata, as JSON, since version 0.1


def checksum(tensors: dict[str, Tensor], metadata: str) -> str:
    """sha256 of everything in a file; safetensors itself checks only the names and sizes."""
    digest = hashlib.sha256(metadata.encode("utf8"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict) -> None:
    """Write tensors and JSON-able metadata to one safetensors file, as write_file does."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata)
    write_file(path, save(tensors, metadata={KEY: text, "sha256": checksum(tensors, text)}))


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """What write_tensors wrote: (tensors, metadata).

    Raises FileNotFoundError if nothing is there, ValueError if the file is damaged, even by a
    single bit, or is not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {str(path)!r}")
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise damaged(path, error) from None
    if KEY not in texts:
        raise ValueError(f"{str(path)!r} was not written by this project: it has no {KEY!r} entry")
    # Files of version 0.1 have no checksum.
    if texts.get("sha256", "") not in ("", checksum(tensors, texts[KEY])):
        raise damaged(path, "its contents do not match their checksum")
    return tensors, json.loads(texts[KEY])


def damaged(path: Path, reason: object) -> ValueError:
    return ValueError(
        f"{str(path)!r} is damaged or not a safetensors file ({reason}); "
        "put another copy there or make it again"
    )


def check_same_fields(ours: dict, theirs: dict, path: str | Path) -> None:
    """Raise ValueError naming every field in which a checkpoint's configuration differs."""
    differing = [
        f"{name} is {theirs.get(name)!r} there and {ours.get(name)!r} here"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    if differing:
        raise ValueError(f"{str(path)!r} is for another configuration: " + "; ".join(differing))


def copy_parameters(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    source: str,
    part: Callable[[Tensor, Tensor], Tensor] = lambda tensor, like: tensor,
    called: Mapping[str, str] | None = None,
) -> None:
    """Copy tensors into the model's parameters: all of them, or none and a ValueError.

    Errors say that the tensors come from `source`, and `called` gives the names that our parameters
    have there. If a parameter is spread over several processes, part(tensor, like) cuts out the
    part that this one holds.
    """
    parameters = dict(model.named_parameters())  # tied ones are listed once
    missing, unknown = (parameters.keys() - tensors.keys(), tensors.keys() - parameters.keys())
    if missing or unknown:
        raise ValueError(
            f"{source} does not fit this model: missing {sorted(missing)}, "
            f"unknown {sorted(unknown)}"
        )
    for name, parameter in parameters.items():
        if parameter.shape != tensors[name].shape:
            raise ValueError(
                f"{source} does not fit this model: {(called or {}).get(name, name)} must be "
                f"{tuple(parameter.shape)}, but it is {tuple(tensors[name].shape)}"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(part(tensors[name], parameter))


def average(paths: Sequence[str | Path]) -> Transformer:
    """A model in which every weight is the mean of that weight in several saved models.

    It is in evaluation mode. Source: section 6.1 of Vaswani et al. 2017, which averages the last
    five checkpoints. Raises ValueError if there are no paths, or if configurations differ.
    """
    if not paths:
        raise ValueError("paths must name at least one saved model, got none")
    model, *others = [load_model(path) for path in paths]
    for path, other in zip(paths[1:], others, strict=True):
        check_same_fields(asdict(model.config), asdict(other.config), path)
    with torch.no_grad():
        for parameter, *rest in zip(*(m.parameters() for m in (model, *others)), strict=True):
            parameter.copy_(torch.stack([parameter, *rest]).mean(0))
    return model


def save_model(model: Transformer, path: str | Path) -> None:
    """Save weights and configuration in one file, written atomically.

    Raises ValueError, as check_described does, if load_model would build a different model from it.
    """
    check_described(model)
    write_tensors(path, dict(model.named_parameters()), {"model": asdict(model.config)})


def check_described(model: Transformer) -> None:
    """Raise ValueError unless the model is the one that its configuration describes.

    A published model in our classes, for example, may have a different activation, a bias or a
    different table of positions, none of which the configuration records.
    """
    c = model.config
    with torch.device("meta"):  # shapes without numbers: it takes no memory, whatever the size
        twin = Transformer(c)
    ours, theirs = (dict(m.named_modules(remove_duplicate=False)) for m in (model, twin))
    other = [f"{name} is missing" for name in sorted(theirs.keys() - ours.keys())]
    for name, module in ours.items():
        like = theirs.get(name)
        if like is None or type(module) is not type(like):
            other.append(f"{name or 'the model'} is a {type(module).__name__}")
            continue
        for key, value in vars(like).items():
            mine = vars(module).get(key)
            plain = isinstance(value, bool | int | float | str | tuple)
            # The two ways to compute attention are one formula, so `attention` may be either.
            if key in ("training", "attention") or key.startswith("_"):
                continue
            if (plain or callable(value)) and mine != value:
                other.append(f"{name}.{key} is {getattr(mine, '__name__', mine)}")
        shapes = {key: p.shape for key, p in module.named_parameters(recurse=False)}
        if shapes != {key: p.shape for key, p in like.named_parameters(recurse=False)}:
            other.append(f"{name} has {', '.join(shapes) or 'no parameters'}")
        if isinstance(module, Embedding):
            right = sinusoidal_positions(c.max_length, c.d_model).to(module.positions)
            if right.shape != module.positions.shape or not torch.allclose(
                right, module.positions, rtol=0, atol=1e-2
            ):
                other.append(f"{name} has a different table of positions")
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise ValueError(
            "this model would not be the same when it is loaded, because its configuration does "
            f"not say that {'; '.join(other[:3])}{more}. write_tensors saves the weights alone"
        )


def read_config(metadata: dict, path: str | Path) -> TransformerConfig:
    """The model's configuration in a checkpoint's metadata.

    Raises ValueError if there is none, or if a newer version wrote fields unknown to this one.
    """
    values = metadata.get("model")
    if values is None:
        raise ValueError(f"{str(path)!r} holds no model configuration; write it with save_model")
    unknown = sorted(values.keys() - {field.name for field in fields(TransformerConfig)})
    if unknown:
        raise ValueError(
            f"{str(path)!r} has settings that this version does not know: {', '.join(unknown)}. "
            "A newer version of this project wrote it; update the project to load it"
        )
    if "vocab_size" not in values:  # the one field without a default
        raise ValueError(f"{str(path)!r} has no vocab_size, so no model can be built from it")
    return TransformerConfig(**values)


def load_model(path: str | Path) -> Transformer:
    """The model in evaluation mode, built from the configuration that the file holds.

    Raises FileNotFoundError or ValueError as read_tensors does.
    """
    tensors, metadata = read_tensors(path)
    model = Transformer(read_config(metadata, path))
    copy_parameters(model, tensors, repr(str(path)))
    return model.eval()


def load_weights(model: Transformer, path: str | Path) -> None:
    """Load a checkpoint into an existing model. If it does not fit, the model stays as it is.

    Raises ValueError naming each configuration field that differs.
    """
    tensors, metadata = read_tensors(path)
    check_same_fields(asdict(model.config), metadata.get("model") or {}, path)
    copy_parameters(model, tensors, repr(str(path)))

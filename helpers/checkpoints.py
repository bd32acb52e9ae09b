"""Save and load models, safely: safetensors (never pickle), written whole or not at all.

Used in notebooks 00, 09 and 13.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from helpers.transformer import Transformer, TransformerConfig


def write_tensors(path: str | Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write tensors and JSON-able facts to one safetensors file, atomically.

    The file appears under `path` only when it is complete on disk; until then what was there
    before stays. Raises FileNotFoundError if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder of path={str(path)!r} does not exist; create it first")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(tensors, metadata={"facts": json.dumps(facts)})
    temporary = path.with_name(path.name + ".part")  # always the same: a kill leaves at most one
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """What write_tensors wrote: (tensors, facts).

    Raises FileNotFoundError if nothing is there, ValueError if the file is damaged or not ours.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {str(path)!r}")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{str(path)!r} is damaged or not a safetensors file ({error}); save it again"
        ) from None
    if facts is None:
        raise ValueError(f"{str(path)!r} was not written by this project: it holds no facts")
    return tensors, facts


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
    tensors: dict[str, Tensor],
    path: str | Path,
    part: Callable[[Tensor, Tensor], Tensor] = lambda tensor, like: tensor,
) -> None:
    """Copy tensors into the model's parameters: all of them, or none and a ValueError.

    part(tensor, like) cuts out what this process holds, if a parameter is spread over several.
    """
    parameters = dict(model.named_parameters())  # tied ones stand here once
    missing, unknown = (parameters.keys() - tensors.keys(), tensors.keys() - parameters.keys())
    if missing or unknown:
        raise ValueError(
            f"{str(path)!r} does not fit this model: missing {sorted(missing)}, "
            f"unknown {sorted(unknown)}"
        )
    for name, parameter in parameters.items():
        if parameter.shape != tensors[name].shape:
            raise ValueError(
                f"{str(path)!r} does not fit this model: {name} is "
                f"{tuple(tensors[name].shape)} there and {tuple(parameter.shape)} here"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(part(tensors[name], parameter))


def average(paths: Sequence[str | Path]) -> Transformer:
    """The model whose every weight is the mean of that weight in several saved models.

    In evaluation mode. Source: section 6.1 of Vaswani et al. 2017, which averages the last five
    checkpoints. Raises ValueError for no paths, or for models of different configurations.
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
    """Weights and configuration in one file, written atomically."""
    write_tensors(path, dict(model.named_parameters()), {"model": asdict(model.config)})


def load_model(path: str | Path) -> Transformer:
    """The model in evaluation mode, built from the configuration that the file holds.

    Raises FileNotFoundError or ValueError as read_tensors does.
    """
    tensors, facts = read_tensors(path)
    if facts.get("model") is None:
        raise ValueError(f"{str(path)!r} holds no model configuration; write it with save_model")
    model = Transformer(TransformerConfig(**facts["model"]))
    copy_parameters(model, tensors, path)
    return model.eval()


def load_weights(model: Transformer, path: str | Path) -> None:
    """Load a checkpoint into a model that exists; if it does not fit, the model is untouched.

    Raises ValueError naming each configuration field that differs.
    """
    tensors, facts = read_tensors(path)
    check_same_fields(asdict(model.config), facts.get("model") or {}, path)
    copy_parameters(model, tensors, path)

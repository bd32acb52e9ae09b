"""checkpoints.py: a model comes back as it was saved, and a file that does not fit is told."""

import pytest
import torch
from safetensors.torch import save_file

from helpers import checkpoints
from helpers.checkpoints import average, load_model, load_weights, save_model, write_tensors
from tests.support import all_equal, copies_of_parameters, small_model


@pytest.mark.parametrize("tied", [True, False])
def test_saved_model_loads_as_it_was(tmp_path, tied):
    model = small_model(tied_embeddings=tied)
    save_model(model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.config == model.config and not loaded.training
    assert all_equal(copies_of_parameters(model), copies_of_parameters(loaded))
    assert (loaded.output.weight is loaded.source_embedding.token.weight) == tied


def test_weights_for_another_configuration_are_refused_and_change_nothing(tmp_path):
    save_model(small_model(), tmp_path / "m")
    other = small_model(d_ff=32, norm_first=True)
    before = copies_of_parameters(other)
    with pytest.raises(ValueError, match="d_ff is 24 there and 32 here; norm_first is False"):
        load_weights(other, tmp_path / "m")
    assert all_equal(before, copies_of_parameters(other))


def test_weights_that_fit_are_loaded(tmp_path):
    model, other = small_model(), small_model()
    with torch.no_grad():
        model.output.weight.add_(1)
    save_model(model, tmp_path / "m")
    load_weights(other, tmp_path / "m")
    assert all_equal(copies_of_parameters(model), copies_of_parameters(other))


def test_missing_truncated_and_foreign_files_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_model(tmp_path / "nothing")
    save_model(small_model(), tmp_path / "m")
    data = (tmp_path / "m").read_bytes()
    for length in (0, 5, 100, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:length])
        with pytest.raises(ValueError, match="damaged"):
            load_model(tmp_path / "cut")
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="not written by this project"):
        load_model(tmp_path / "foreign")
    write_tensors(tmp_path / "other", {"a": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="no model configuration"):
        load_model(tmp_path / "other")


def test_tensors_of_another_model_are_named(tmp_path):
    model = small_model()
    tensors = dict(model.named_parameters())
    removed = tensors.pop("output.weight") if "output.weight" in tensors else None
    if removed is None:
        removed = tensors.pop(next(iter(tensors)))
    tensors["stranger"] = removed
    metadata = {"model": checkpoints.asdict(model.config)}
    write_tensors(tmp_path / "m", tensors, metadata)
    with pytest.raises(ValueError, match="missing .*unknown .*stranger"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("read", ["load_model", "average"])
def test_settings_of_a_newer_version_are_named(tmp_path, read):
    model = small_model()
    values = {**checkpoints.asdict(model.config), "num_experts": 8, "router": "top-2"}
    write_tensors(tmp_path / "newer", dict(model.named_parameters()), {"model": values})
    path = tmp_path / "newer"
    with pytest.raises(ValueError, match=r"newer'.*does not know: num_experts, router\. A newer"):
        load_model(path) if read == "load_model" else average([path])


def test_weights_of_a_newer_version_are_told_by_the_field(tmp_path):
    model = small_model()
    values = {**checkpoints.asdict(model.config), "num_experts": 8}
    write_tensors(tmp_path / "newer", dict(model.named_parameters()), {"model": values})
    with pytest.raises(ValueError, match="num_experts is 8 there and None here"):
        load_weights(model, tmp_path / "newer")


def test_settings_that_a_file_of_an_older_version_lacks_have_their_defaults(tmp_path):
    model = small_model(max_length=512)
    values = checkpoints.asdict(model.config)
    del values["max_length"]
    write_tensors(tmp_path / "older", dict(model.named_parameters()), {"model": values})
    assert load_model(tmp_path / "older").config == model.config


def test_the_average_is_the_mean_of_every_weight(tmp_path):
    models = [small_model() for _ in range(3)]
    for factor, model in enumerate(models):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(factor)
        save_model(model, tmp_path / str(factor))
    mean = average([tmp_path / str(factor) for factor in range(3)])
    for got, middle in zip(mean.parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(got, middle)
    assert not mean.training
    save_model(small_model(d_ff=32), tmp_path / "wider")
    with pytest.raises(ValueError, match="d_ff is 32 there and 24 here"):
        average([tmp_path / "0", tmp_path / "wider"])
    with pytest.raises(ValueError, match="at least one saved model"):
        average([])

"""checkpoints.py: a model comes back as it was saved, and a file that does not fit is told."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers import checkpoints
from helpers.attention import attention, use_attention
from helpers.checkpoints import (
    average,
    check_same_fields,
    copy_parameters,
    load_model,
    load_weights,
    read_tensors,
    save_model,
    write_tensors,
)
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
    path = str(tmp_path / "m")
    for read in (load_model, lambda path: load_weights(small_model(), path)):
        with pytest.raises(ValueError, match=f"^{path!r} does not.*missing .*unknown .*stranger"):
            read(path)
        with pytest.raises(ValueError, match=f"^{path!r} does not"):
            read(tmp_path / "m")


@pytest.mark.parametrize("read", ["load_model", "average"])
def test_settings_of_a_newer_version_are_named(tmp_path, read):
    model = small_model()
    more = dict.fromkeys(("router", "num_experts", "top_k", "bias", "window", "sinks"), 1)
    values = {**checkpoints.asdict(model.config), **more}
    write_tensors(tmp_path / "newer", dict(model.named_parameters()), {"model": values})
    path = tmp_path / "newer"
    with pytest.raises(
        ValueError, match="newer'.*know: bias, num_experts, router, sinks, top_k, window. A newer"
    ):
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


def test_the_average_is_a_mean_and_not_a_middle(tmp_path):
    """Of 0, 0 and 6: 2. And of a single model it is that model."""
    for number, value in enumerate((0.0, 0.0, 6.0)):
        model = small_model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        save_model(model, tmp_path / str(number))
    paths = [tmp_path / str(number) for number in range(3)]
    assert all((p == 2.0).all() for p in average(paths).parameters())
    assert all((p == 3.0).all() for p in average(paths[1:]).parameters())
    assert all((p == 6.0).all() for p in average(paths[2:]).parameters())
    with pytest.raises(ValueError, match=f"{tmp_path / 'other'}.*norm_first is True there"):
        save_model(small_model(norm_first=True), tmp_path / "other")
        average([*paths, tmp_path / "other"])


def test_the_checksum_is_that_of_all_a_file_holds(tmp_path):
    """Worked out here word by word: a file of today can be checked for ever."""
    tensors = {"b": torch.tensor([[1, 2]], dtype=torch.int16), "a": torch.tensor(0.5)}
    write_tensors(tmp_path / "t", tensors, {"x": 1})
    with safe_open(tmp_path / "t", framework="pt") as file:
        stored = file.metadata()
    digest = hashlib.sha256(b'{"x": 1}')
    digest.update(b"a torch.float32 ()" + bytes([0, 0, 0, 0x3F]))
    digest.update(b"b torch.int16 (1, 2)" + bytes([1, 0, 2, 0]))
    assert stored == {"facts": '{"x": 1}', "sha256": digest.hexdigest()}


@pytest.mark.parametrize("change", ["tensor", "metadata"])
def test_a_file_changed_within_is_told_by_its_checksum(tmp_path, change):
    write_tensors(tmp_path / "t", {"a": torch.tensor([1.0, 2.0])}, {"x": 1})
    with safe_open(tmp_path / "t", framework="pt") as file:
        texts, tensor = file.metadata(), file.get_tensor("a")
    if change == "tensor":
        tensor = tensor + 1
    else:
        texts["facts"] = '{"x": 2}'
    save_file({"a": tensor}, tmp_path / "t", metadata=texts)
    with pytest.raises(
        ValueError,
        match=r"t' is damaged or not a safetensors file .*do not match their checksum\); "
        "put another copy there or make it again$",
    ):
        read_tensors(tmp_path / "t")


def test_files_of_the_first_version_have_no_checksum_and_are_read(tmp_path):
    save_file({"a": torch.tensor([1.0])}, tmp_path / "t", metadata={"facts": '{"x": 1}'})
    tensors, metadata = read_tensors(str(tmp_path / "t"))
    assert tensors["a"].tolist() == [1.0] and metadata == {"x": 1}


def test_tensors_come_back_as_they_were_whatever_they_belonged_to(tmp_path):
    """Gradients, strides and shared memory stay behind; numbers, shapes and types do not."""
    whole = torch.arange(6.0, requires_grad=True)
    tensors = {
        "turned": whole.view(2, 3).T,
        "half": whole[:2].bfloat16(),
        "count": torch.tensor(3),
        "none": torch.zeros(0, 2),
    }
    write_tensors(tmp_path / "t", tensors, {"history": [1, None, "ä"]})
    back, metadata = read_tensors(tmp_path / "t")
    assert metadata == {"history": [1, None, "ä"]} and back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and torch.equal(back[name], tensor)


def test_every_field_that_differs_is_named_and_no_other():
    check_same_fields({"a": 1, "b": 2}, {"b": 2, "a": 1}, "p")
    with pytest.raises(ValueError) as caught:
        check_same_fields({"a": 1, "b": 2, "c": 3}, {"b": 5, "c": 3, "d": 4}, "p")
    assert str(caught.value) == (
        "'p' is for another configuration: a is None there and 1 here; "
        "b is 5 there and 2 here; d is 4 there and None here"
    )


@pytest.mark.parametrize("wrong", ["missing", "unknown", "shape"])
def test_parameters_are_copied_all_or_none(wrong):
    model = torch.nn.Linear(2, 3)
    before = copies_of_parameters(model)
    tensors = {"weight": torch.ones(3, 2), "bias": torch.ones(3)}
    good = dict(tensors)
    message = {
        "missing": r"here does not fit this model: missing \['bias'\], unknown \[\]",
        "unknown": r"here does not fit this model: missing \[\], unknown \['more'\]",
        "shape": r"here does not fit this model: b must be \(3,\), but it is \(4,\)",
    }[wrong]
    if wrong == "missing":
        del tensors["bias"]
    else:
        tensors |= {"more": torch.ones(1)} if wrong == "unknown" else {"bias": torch.ones(4)}
    with pytest.raises(ValueError, match=message):
        copy_parameters(model, tensors, "here", called={"bias": "b"})
    assert all_equal(before, copies_of_parameters(model))
    copy_parameters(model, good, "here", lambda tensor, like: tensor * like.dim())
    assert (model.weight == 2).all() and (model.bias == 1).all()


def test_a_parameter_without_another_name_is_named_by_its_own():
    with pytest.raises(ValueError, match=r"bias must be \(3,\), but it is \(4,\)"):
        copy_parameters(
            torch.nn.Linear(2, 3), {"weight": torch.ones(3, 2), "bias": torch.ones(4)}, "here"
        )


def test_a_saved_model_says_how_it_was_built(tmp_path):
    model = small_model(norm_first=True)
    save_model(model, tmp_path / "m")
    _, metadata = read_tensors(tmp_path / "m")
    assert metadata == {"model": json.loads(json.dumps(checkpoints.asdict(model.config)))}
    shutil.copy(tmp_path / "m", tmp_path / "copy")
    with pytest.raises(ValueError, match=f"{tmp_path / 'copy'}.*norm_first is True there"):
        load_weights(small_model(), tmp_path / "copy")


def test_weights_without_a_configuration_are_told_by_their_fields(tmp_path):
    write_tensors(tmp_path / "t", {"a": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="d_ff is None there and 24 here"):
        load_weights(small_model(), tmp_path / "t")


def test_tensors_are_brought_to_the_processor_to_be_written(tmp_path, monkeypatch):
    brought, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: brought.append(t.numel()) or cpu(t))
    write_tensors(tmp_path / "t", {"a": torch.zeros(3), "b": torch.zeros(5)}, {})
    assert brought == [3, 5]


def published(model, change):
    """A model that its configuration does not describe."""
    layer = model.encoder.layers[0]
    if change == "activation":
        layer.feed_forward.activation = torch.nn.functional.silu
    elif change == "bias":
        model.output.bias = torch.nn.Parameter(torch.zeros(model.config.vocab_size))
    elif change == "no bias":
        layer.self_attention.w_q.bias = None
    elif change == "positions":
        model.source_embedding.positions.mul_(2)
    elif change == "scale":
        model.target_embedding.scale = 1.0
    elif change == "norm":
        layer.add_norm_ff.norm = torch.nn.RMSNorm(16)
    elif change == "eps":
        layer.add_norm_ff.norm.eps = 1e-3
    elif change == "order":
        layer.add_norm_self.norm_first = True
    elif change == "missing":
        del layer.add_norm_self
    elif change == "no weights":
        layer.add_norm_ff.norm.weight = layer.add_norm_ff.norm.bias = None
    elif change == "four":
        del layer.add_norm_self
        model.source_embedding.positions[3, 0] += 0.02
    elif change == "a layer":
        model.decoder.layers = model.decoder.layers[:1]
    elif change == "two norms":
        layer.add_norm_self.norm = layer.add_norm_ff.norm = torch.nn.RMSNorm(16)
    elif change == "class":
        model.__class__ = type("Other", (type(model),), {})
    elif change == "many":
        for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
            norm.eps = 1e-3
    return model


@pytest.mark.parametrize(
    "change, named",
    [
        ("activation", "encoder.layers.0.feed_forward.activation is silu"),
        ("bias", "output has weight, bias"),
        ("no bias", "encoder.layers.0.self_attention.w_q has weight"),
        ("positions", "source_embedding has a different table of positions"),
        ("scale", "target_embedding.scale is 1.0"),
        ("norm", "encoder.layers.0.add_norm_ff.norm is a RMSNorm"),
        ("eps", "encoder.layers.0.add_norm_ff.norm.eps is 0.001"),
        ("order", "encoder.layers.0.add_norm_self.norm_first is True"),
        ("no weights", "encoder.layers.0.add_norm_ff.norm has no parameters"),
        (
            "missing",
            "encoder.layers.0.add_norm_self is missing; encoder.layers.0.add_norm_self.dropout is "
            "missing; encoder.layers.0.add_norm_self.norm is missing",
        ),
        (
            "four",
            "encoder.layers.0.add_norm_self is missing; encoder.layers.0.add_norm_self.dropout is "
            "missing; encoder.layers.0.add_norm_self.norm is missing and 1 more",
        ),
        (
            "a layer",
            "decoder.layers.1 is missing; decoder.layers.1.add_norm_cross is missing; "
            "decoder.layers.1.add_norm_cross.dropout is missing and 20 more",
        ),
        (
            "two norms",
            "encoder.layers.0.add_norm_self.norm is a RMSNorm; "
            "encoder.layers.0.add_norm_ff.norm is a RMSNorm",
        ),
        ("class", "the model is a Other"),
        ("many", ".*add_norm_self.norm.eps is 0.001; .* and 5 more"),
    ],
)
def test_a_model_that_its_configuration_does_not_describe_is_not_saved(tmp_path, change, named):
    with pytest.raises(ValueError, match=f"does not say that {named}. write_tensors saves"):
        save_model(published(small_model(), change), tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_a_model_in_another_precision_or_with_another_kernel_is_described(tmp_path, kind):
    save_model(small_model().to(kind).float(), tmp_path / "m")  # its positions are rounded
    model = small_model().to(kind).eval()
    use_attention(model, attention)
    save_model(model, tmp_path / "m")
    assert all_equal(
        copies_of_parameters(load_model(tmp_path / "m").to(kind)), copies_of_parameters(model)
    )


def test_a_configuration_without_its_size_is_named(tmp_path):
    write_tensors(tmp_path / "t", {"a": torch.zeros(2)}, {"model": {"d_model": 16}})
    with pytest.raises(ValueError, match="t' has no vocab_size"):
        load_model(tmp_path / "t")

"""lessons/marian.py: the changes of that kind, each of which shows, and its files."""

import pytest
import torch

from helpers.lessons.marian import from_marian
from helpers.special_ids import BOS
from tests.lessons.support import change_weights, marian, sources
from tests.support import tiny_model


def test_these_equalities_notice_each_difference(tmp_path):
    """Take one of the changes back, and the logits are not theirs any more."""
    theirs = marian()
    theirs.save_pretrained(tmp_path / "m")
    source, mask = sources(theirs)
    target = torch.tensor([[52, 5, 6]] * 4)
    with torch.no_grad():
        wanted = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits

    def error(change):
        ours, ids = from_marian(tmp_path / "m")
        change(ours)
        read = ids.encode(target)
        read[:, 0] = BOS
        with torch.no_grad():
            return (ours(ids.encode(source), read)[..., ids.ours] - wanted).abs().max().item()

    def with_relu(ours):
        ours.decoder.layers[0].feed_forward.activation = torch.relu

    def alternating(ours):
        plain = tiny_model().source_embedding.positions.float()
        ours.source_embedding.positions[: len(plain)] = plain

    def without_bias(ours):
        ours.output.bias.data.zero_()

    assert error(lambda ours: None) < 1e-4
    for change in (with_relu, alternating, without_bias):
        assert error(change) > 1e-2, change.__name__


def test_untied_copies_are_refused(tmp_path):
    marian().save_pretrained(tmp_path / "m")
    change_weights(tmp_path / "m", lambda w: w.update({"lm_head.weight": torch.zeros(53, 16)}))
    with pytest.raises(ValueError, match="lm_head.weight must be the same matrix"):
        from_marian(tmp_path / "m")


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_stored_table_of_positions_must_be_the_one_that_is_computed(tmp_path, side):
    theirs = marian()
    theirs.save_pretrained(tmp_path / "m")
    name = f"model.{side}.embed_positions.weight"
    table = theirs.state_dict()[name].clone()
    change_weights(tmp_path / "m", lambda w: w.update({name: table.half()}))
    from_marian(tmp_path / "m")  # half of the digits are enough
    for other in (table.roll(1, 0).contiguous(), table[:39].clone(), table + 0.01, 0 * table):
        change_weights(tmp_path / "m", lambda w, other=other: w.update({name: other}))
        with pytest.raises(ValueError, match=f"{name} must hold the sines and cosines of 40"):
            from_marian(tmp_path / "m")


def test_an_output_without_its_bias_is_named(tmp_path):
    marian().save_pretrained(tmp_path / "m")
    change_weights(tmp_path / "m", lambda w: w.pop("final_logits_bias"))
    with pytest.raises(ValueError, match="weights missing: .*final_logits_bias"):
        from_marian(tmp_path / "m")


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_the_other_activations_are_theirs_too(tmp_path, activation):
    theirs = marian(activation_function=activation)
    theirs.save_pretrained(tmp_path / "m")
    ours, ids = from_marian(tmp_path / "m")
    source, mask = sources(theirs)
    with torch.no_grad():
        wanted = theirs.model.encoder(input_ids=source, attention_mask=mask).last_hidden_state
        got, _ = ours.encode(ids.encode(source))
    torch.testing.assert_close(got[mask.bool()], wanted[mask.bool()], rtol=0, atol=1e-5)


def test_the_older_kind_of_file_is_read_too(tmp_path):
    theirs = marian()
    theirs.save_pretrained(tmp_path / "m")
    state = dict(theirs.state_dict())  # with every copy and the positions
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "m" / "pytorch_model.bin")
    ours, ids = from_marian(tmp_path / "m")
    torch.testing.assert_close(ours.output.weight[ids.ours], theirs.lm_head.weight, rtol=0, atol=0)

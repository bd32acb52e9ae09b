"""lessons/marian.py: the changes of that kind, each of which shows, and its files."""

import json

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


def test_a_setting_that_is_absent_is_named(tmp_path):
    marian().save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    settings = json.loads(path.read_text(encoding="utf8"))
    del settings["d_model"]
    path.write_text(json.dumps(settings), encoding="utf8")
    with pytest.raises(ValueError, match="must say d_model"):
        from_marian(tmp_path / "m")


def test_the_older_kind_of_file_is_read_too(tmp_path):
    theirs = marian()
    theirs.save_pretrained(tmp_path / "m")
    state = dict(theirs.state_dict())  # with every copy and the positions
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "m" / "pytorch_model.bin")
    ours, ids = from_marian(tmp_path / "m")
    torch.testing.assert_close(ours.output.weight[ids.ours], theirs.lm_head.weight, rtol=0, atol=0)

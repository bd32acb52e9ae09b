"""lessons/broken_models.py and its siblings: broken where they say, and nowhere else."""

import pytest
import torch

from helpers.lessons import broken_layers, broken_models, leaky_models
from helpers.lessons.broken_models import CASES, put_into
from helpers.transformer import Transformer, TransformerConfig
from tests.support import SOURCE_IDS, TARGET_IDS

CONFIG = TransformerConfig(24, 16, 4, 32, 3, 3, dropout=0.0, norm_first=True, max_length=32)
MODELS = [name for name, case in CASES.items() if isinstance(case.bug, type)]


@pytest.mark.parametrize("name", CASES)
def test_every_case_says_where_it_was_reported(name):
    repository, number = CASES[name].reported.split(" #")
    assert repository.count("/") == 1 and int(number) > 0


@pytest.mark.parametrize("name", MODELS)
def test_the_refactoring_is_harmless_and_the_weights_are_the_same(name):
    bug, fix, refactored = (m.eval() for m in CASES[name].subjects()[:3])
    torch.testing.assert_close(
        refactored(SOURCE_IDS, TARGET_IDS), fix(SOURCE_IDS, TARGET_IDS), rtol=0, atol=1e-10
    )
    assert all(torch.equal(a, b) for a, b in zip(bug.parameters(), fix.parameters(), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_a_broken_model_takes_trained_weights_and_differs(name):
    torch.manual_seed(0)
    model = Transformer(CONFIG).eval()
    broken = put_into(CASES[name].bug, model)
    assert all(
        torch.equal(a, b) for a, b in zip(broken.parameters(), model.parameters(), strict=True)
    )
    if name != "position":  # that one sleeps until there is a cache
        assert not torch.allclose(broken(SOURCE_IDS, TARGET_IDS), model(SOURCE_IDS, TARGET_IDS))


@pytest.mark.parametrize("module", [broken_layers, broken_models, leaky_models])
def test_every_broken_class_says_what_is_wrong_with_it(module):
    kinds = [k for k in vars(module).values() if isinstance(k, type)]
    kinds = [k for k in kinds if k.__module__ == module.__name__]
    assert len(kinds) >= 6
    for kind in kinds:
        assert len(vars(kind)["__doc__"] or "") > 30, kind.__name__  # its own, not inherited

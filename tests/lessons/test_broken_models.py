"""lessons/broken_models.py and its siblings: broken where they say, and nowhere else."""

import re

import pytest
import torch

from helpers.lessons import broken_layers, broken_models, leaky_models
from helpers.lessons.broken_models import CASES, put_into, source_ids, target_ids
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
    case = CASES[name]
    kinds = (case.bug, case.fix, case.refactoring)
    bug, fix, refactored = (case.subject(kind, evaluating=True) for kind in kinds)
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
    if name != 10:  # that one sleeps until there is a cache
        assert not torch.allclose(broken(SOURCE_IDS, TARGET_IDS), model(SOURCE_IDS, TARGET_IDS))


@pytest.mark.parametrize("name", CASES)
def test_the_name_of_a_case_does_not_give_its_bug_away(name):
    """In a session `print(model)` shows the class's name, beside the symptom."""
    case = CASES[name]
    assert re.fullmatch(r"Case\d+", case.bug.__name__) and case.bug.__name__ == f"Case{name}"
    if name in MODELS:
        assert repr(case.subject(case.bug)).startswith(f"Case{name}(")


@pytest.mark.parametrize("name", [name for name in MODELS if CASES[name].relatives])
def test_a_relative_is_another_bug_with_the_same_weights(name):
    case = CASES[name]
    fix, bug = (case.subject(kind, evaluating=True) for kind in (case.fix, case.bug))
    for kind in case.relatives:
        relative = case.subject(kind, evaluating=True)
        assert all(map(torch.equal, relative.parameters(), fix.parameters()))
        for other in (fix, bug):
            assert not torch.allclose(
                relative(source_ids, target_ids), other(source_ids, target_ids)
            )


@pytest.mark.parametrize("module", [broken_layers, broken_models, leaky_models])
def test_every_broken_class_says_what_is_wrong_with_it(module):
    kinds = [k for k in vars(module).values() if isinstance(k, type)]
    kinds = [k for k in kinds if k.__module__ == module.__name__]
    assert len(kinds) >= 6
    for kind in kinds:
        assert len(vars(kind)["__doc__"] or "") > 30, kind.__name__  # its own, not inherited

"""What several tests of pictures need: the translator that notebook 00 opens with."""

import pytest

from tests.support import trained_translator


@pytest.fixture(scope="session")
def translator():
    """(model, tokenizer); shared, so leave them as they are."""
    return trained_translator()

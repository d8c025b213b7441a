"""LiteLLM's own price list comes with it: it is not to be fetched."""

import os

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


@pytest.fixture(autouse=True)
def every_call_is_charged_as_it_is_billed(billed_as_charged):
    """For every test here."""

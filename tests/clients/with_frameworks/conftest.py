"""What every framework's test needs beside the common."""

import pytest


@pytest.fixture(autouse=True)
def every_call_is_charged_as_it_is_billed(billed_as_charged):
    """For every test here."""

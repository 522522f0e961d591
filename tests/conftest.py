"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about the code. The examples
# follow from the test, so that it ends alike everywhere.
settings.register_profile(
    "any machine",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the browser's tests last.

    The browser keeps an event loop running in this thread until the session ends, and Dagster,
    which starts loops of its own, is not made to run inside one.
    """
    items.sort(key=lambda item: "tests/e2e" in item.path.as_posix())

"""What holds for all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the browser's tests last.

    The browser keeps an event loop running in this thread until the session ends, and Dagster,
    which starts loops of its own, is not made to run inside one.
    """
    items.sort(key=lambda item: "tests/e2e" in item.path.as_posix())

"""Which files of the landing folder the resident loader reads, and when."""

from pathlib import Path

import pytest

from orchestration.automation import WATCH_SECONDS, left_to_watch
from orchestration.watching import (
    AGAIN_SECONDS,
    LONGEST_WAIT_SECONDS,
    Seen,
    is_due,
    is_watched,
    landed,
    note,
    only_watch,
)
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

OLD, NEW = (1, 10), (2, 20)


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (None, 0.0, True),
        (Seen(OLD, is_done=True, again_at=5.0), 9.0, True),
        (Seen(OLD, is_done=True, again_at=5.0), 4.0, False),
        (Seen(NEW, is_done=True, again_at=5.0), 9.0, False),
        (Seen(NEW, is_done=False, again_at=5.0), 4.0, False),
        (Seen(NEW, is_done=False, again_at=5.0), 9.0, True),
    ],
)
def test_new_files_are_read_at_once_and_changed_or_unfinished_ones_in_their_time(
    seen, now, expected
):
    assert is_due(NEW, seen, now) is expected


def test_a_file_that_stays_unfinished_is_looked_at_ever_more_seldom():
    seen, now, waits = None, 0.0, []
    for _ in range(8):
        seen = note(NEW, seen, now, is_done=False)
        waits.append(seen.again_at - now)
        now = seen.again_at
    assert waits[0] == AGAIN_SECONDS
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_SECONDS
    assert note((3, 30), seen, now, is_done=False).again_at == now + AGAIN_SECONDS


def test_every_file_below_the_folder_is_seen(tmp_path: Path):
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    for name in ("shop/a.ndjson", "shop/deep/b.csv"):
        (tmp_path / name).write_text("x")
    assert {str(path.relative_to(tmp_path)) for path in landed(tmp_path)} == {
        "shop/a.ndjson",
        "shop/deep/b.csv",
    }
    assert landed(tmp_path / "nowhere") == {}


def test_one_resident_loader_runs_for_a_home(tmp_path: Path):
    settings = Settings(home=tmp_path)
    assert not is_watched(settings)
    with only_watch(settings):
        assert is_watched(settings)
        with pytest.raises(MeterhouseError, match="another `meterhouse watch`"):
            with only_watch(settings):
                pass
    assert not is_watched(settings)


def test_the_sensor_leaves_files_to_watch_for_half_a_minute():
    waited, cursor = left_to_watch(None, "k", 100.0)
    assert waited == 0
    waited, cursor = left_to_watch(cursor, "k", 100.0 + WATCH_SECONDS)
    assert waited == WATCH_SECONDS
    waited, _ = left_to_watch(cursor, "other", 200.0)
    assert waited == 0

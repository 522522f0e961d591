"""The harness of the benchmarks: fair turns, medians, and runs that fail loudly."""

import random
from datetime import date
from pathlib import Path

import pytest

from benchmarks import spikes, usage
from benchmarks.load import BARE, compare, ensure_file, first_lines, load_bare, spec_of
from benchmarks.measuring import Run, alternated, machine, paired_ratio, run_process, summary
from warehouse.settings import Settings


def run(seconds: float, *, rows: int = 100, peak: int = 1) -> Run:
    return Run("x", rows, seconds, seconds, peak)


def test_contestants_take_turns_in_being_first() -> None:
    assert list(alternated(["a", "b"], 3)) == [
        (0, "a"),
        (0, "b"),
        (1, "b"),
        (1, "a"),
        (2, "a"),
        (2, "b"),
    ]


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    ours, theirs = [run(2), run(4), run(10)], [run(1), run(3), run(1)]
    assert paired_ratio(ours, theirs) == (0.5, 0.1, 0.75)


def test_a_ratio_counts_rows_a_second_where_the_rows_differ() -> None:
    assert paired_ratio([run(1, rows=200)], [run(1, rows=100)])[0] == 2


def test_a_summary_has_the_middle_time_and_the_largest_peak() -> None:
    found = summary([run(1, peak=5), run(3, peak=9), run(2, peak=7)])
    assert (found.seconds, found.rows_per_second, found.peak_bytes, found.runs) == (2, 50, 9, 3)


def test_the_slice_is_the_start_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "all").write_text("1\n2\n3\n")
    assert first_lines(tmp_path / "all", 2, tmp_path / "some") == 2
    assert (tmp_path / "some").read_text() == "1\n2\n"
    assert first_lines(tmp_path / "all", 9, tmp_path / "some") == 3


def test_a_contestant_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no_such_benchmark"):
        run_process("x", "benchmarks.no_such_benchmark", [])


def test_the_file_is_made_once_and_loads_whole(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    file = ensure_file(tmp_path, 300, False, settings)
    made = file.stat().st_mtime_ns
    assert ensure_file(tmp_path, 300, False, settings).stat().st_mtime_ns == made
    assert spec_of(300, False).clean
    (tmp_path / "work").mkdir()
    assert load_bare(file, tmp_path / "work")["rows"] == 300


def test_a_small_comparison_runs_from_end_to_end(tmp_path: Path) -> None:
    file = ensure_file(tmp_path, 500, True, Settings(home=tmp_path))
    outcome = compare(file, tmp_path, 500, None, 1)
    assert [found["rows"] for found in outcome["results"]] == [500, 500]
    assert outcome["results"][0]["case"] == BARE
    assert all(found["peak_bytes"] > 10_000_000 for found in outcome["results"])
    assert outcome["ours_to_bare"]["median"] > 0
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_machine_is_named() -> None:
    assert {"processor", "cores", "memory_gib", "load_average", "duckdb"} <= set(machine())


def test_the_questions_of_the_usage_log_take_turns_and_the_first_turn_is_not_counted() -> None:
    asked: list[tuple[str, int]] = []
    found = usage._timed(
        {name: lambda number, _, name=name: asked.append((name, number)) for name in ("a", "b")}, 2
    )
    assert asked == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert {name: len(times) for name, times in found.items()} == {"a": 2, "b": 2}


def test_every_question_is_about_another_month_within_the_sample() -> None:
    asked = [usage.month_before(number) for number in range(24)]
    assert len(set(asked)) == 24
    assert {selection.days for selection in asked} == {usage.DAYS}
    start = usage.spec_of(1).start.date()
    assert all(start <= selection.previous().first for selection in asked)


def test_quantiles_are_nearest_ranks_in_milliseconds() -> None:
    times = [(number / 1000, number / 2000) for number in range(1, 21)]
    assert usage.quantiles(times) == {
        "p50_ms": pytest.approx(10.5),
        "p95_ms": pytest.approx(19),
        "cpu_ms": pytest.approx(5.25),
    }


def test_planted_days_and_calm_ones_are_told_apart() -> None:
    values = [10.0 if day % 7 else 20.0 for day in range(400)]
    made = spikes.plant("one", date(2026, 1, 5), values, random.Random(1))
    assert made.planted and not made.planted.keys() & made.calm
    assert len(made.planted) + len(made.calm) == 400 - spikes.WARM_UP
    for place, times in made.planted.items():
        assert made.values[place] == pytest.approx(values[place] * times)


def test_a_rule_is_scored_by_what_it_finds_and_what_it_alarms() -> None:
    place = spikes.WARM_UP
    one = spikes.Series("one", date(2026, 1, 5), (), {place: 1.6, place + 1: 3.0}, frozenset({200}))
    found = spikes.score("half", [one], lambda _: frozenset({place, 200, 201}))
    assert (found.precision, found.recall, found.small_recall) == (0.5, 0.5, 1.0)
    assert found.all_precision == pytest.approx(1 / 3)


def test_better_means_a_higher_f1_at_no_lower_precision() -> None:
    ours = spikes.Score("ours", 0.9, 0.9, 0.9, 0.5, 0.5, 0.5)
    assert spikes.is_better([ours, spikes.Score("z", 0.9, 0.5, 0.6, 0.1, 0.8, 0.6)])
    assert not spikes.is_better([ours, spikes.Score("z", 0.95, 0.5, 0.6, 0.1, 0.8, 0.6)])


def test_the_plain_rules_find_a_day_that_stands_out() -> None:
    values = [10.0 + day % 3 for day in range(200)]
    values[150] = 60.0
    one = spikes.Series("one", date(2026, 1, 5), tuple(values), {}, frozenset())
    assert spikes.z_score(one) == frozenset({150})
    assert 150 in spikes.robust_z(one)

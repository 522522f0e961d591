"""The way to the first own usage tells what is done, what comes next and what needs somebody."""

from dataclasses import replace

from app.first_source import Found, OwnLoads, Step, steps

NOTHING = OwnLoads(0, (), 0, 0, 0, 0, 0, 0)
LOADED = OwnLoads(2, ("shop",), 5, 60_133, 60_043, 67, 23, 0)
EMPTY = Found(None, False, (), "/house/landing", (), (), NOTHING, 0, 0, ())


def states(found: Found) -> list[str]:
    return [step.state for step in steps(found)]


def step(found: Found, title: str) -> Step:
    (one,) = [each for each in steps(found) if each.title == title]
    return one


def test_in_an_empty_house_the_first_step_is_next_and_the_others_come_later() -> None:
    assert states(EMPTY) == ["next", "later", "later", "later", "later"]


def test_each_step_that_is_done_makes_the_one_after_it_the_next() -> None:
    declared = replace(EMPTY, sources_folder="/s", has_folder=True, specs=("shop",))
    assert states(declared) == ["done", "next", "later", "later", "later"]
    known = replace(declared, accounts=("acme",))
    assert states(known) == ["done", "done", "next", "later", "later"]
    loaded = replace(known, loads=LOADED)
    assert states(loaded) == ["done", "done", "done", "next", "later"]
    built = replace(loaded, built_load_id=5)
    assert states(built) == ["done", "done", "done", "done", "next"]
    published = replace(built, published_load_id=7)
    assert states(published) == ["done"] * 5
    assert published.is_published


def test_a_load_tells_what_became_of_each_row() -> None:
    told = step(replace(EMPTY, loads=LOADED), "Load it").told
    assert "read 60,133 = loaded 60,043 + duplicate 67 + rejected 23" in told


def test_a_file_of_which_no_row_could_be_loaded_needs_somebody() -> None:
    broken = replace(LOADED, first_load_id=0, rows_loaded=0, rows_duplicate=0, rows_rejected=60_133)
    found = step(replace(EMPTY, loads=broken), "Load it")
    assert found.state == "trouble"
    assert "60,133 were rejected" in found.told


def test_accounts_that_nobody_declared_are_named_in_the_commands_that_declare_them() -> None:
    found = replace(EMPTY, loads=LOADED, undeclared=("zenith", "two words"))
    assert step(found, "Declare who used it").commands == [
        "meterhouse accounts add zenith",
        "meterhouse accounts add 'two words'",
    ]


def test_a_folder_of_sources_that_is_not_there_is_said() -> None:
    found = replace(EMPTY, sources_folder="/nowhere")
    assert "names no folder: /nowhere" in step(found, "Say what the log looks like").told


def test_checks_that_block_are_named() -> None:
    found = replace(EMPTY, loads=LOADED, built_load_id=5, failing=("credits_are_conserved",))
    last = step(found, "Publish it")
    assert (last.state, "credits_are_conserved" in last.told) == ("trouble", True)


def test_a_sample_is_no_own_usage() -> None:
    sample = replace(EMPTY, loads=replace(NOTHING, sample_loads=15), published_load_id=15)
    assert sample.is_sample_alone
    assert not sample.is_published
    assert "done" not in states(sample)

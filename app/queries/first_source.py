"""How far a house is on the way to its first own usage. For the platform's staff."""

from dataclasses import dataclass

from app.first_source import Found, OwnLoads
from app.gate import Gate, StaffQuestion
from app.queries.data_health import CHECKS, UNDECLARED
from billing.accounts import list_accounts
from warehouse.settings import Settings

SAMPLE_ACTOR = "meterhouse sample"
"""Who declares the accounts of a sample."""

_LOADS = StaffQuestion(
    OwnLoads,
    """
    with file as (
        select *, source = 'meterhouse' and regexp_matches(path, '(^|/)sample-[^/]*$') as is_sample
        from raw.main.load
        where kind = 'file' and content_hash not like 'failed:%'
    )
    select {columns} from (
        select
            count(distinct path) filter (where not is_sample) as loads,
            coalesce(
                list_sort(list(distinct source) filter (where not is_sample)), []
            ) as sources,
            coalesce(
                min(load_id) filter (where not is_sample and rows_loaded > 0), 0
            ) as first_load_id,
            coalesce(sum(rows_read) filter (where not is_sample), 0) as rows_read,
            coalesce(sum(rows_loaded) filter (where not is_sample), 0) as rows_loaded,
            coalesce(sum(rows_duplicate) filter (where not is_sample), 0) as rows_duplicate,
            coalesce(sum(rows_rejected) filter (where not is_sample), 0) as rows_rejected,
            count(*) filter (where is_sample) as sample_loads
        from file
    )
    """,
    state="head",
)


@dataclass(frozen=True)
class _Built:
    raw_load_id: int


_BUILT = StaffQuestion(
    _Built,
    """
    select {columns} from (
        select coalesce(max(raw_load_id), 0) as raw_load_id from marts.meta.build
    )
    """,
    state="head",
)

_NOTHING = OwnLoads(0, (), 0, 0, 0, 0, 0, 0)


def gather_first_source(gate: Gate) -> Found:
    """What of the way is done, read at the head."""
    gate.require_staff("first source")
    has_raw = gate.has_raw()
    accounts = list_accounts(gate.store()) if gate.has_store() else []
    specs, has_folder = _specs(gate.settings)
    loads = gate.ask_staff(_LOADS)[0] if has_raw else _NOTHING
    undeclared = gate.ask_staff(UNDECLARED, shown=10) if loads.loads else []
    checks = gate.ask_staff(CHECKS) if gate.has_checks() else []
    return Found(
        str(gate.settings.sources) if gate.settings.sources else None,
        has_folder,
        specs,
        str(gate.settings.landing_folder),
        tuple(each.account_id for each in accounts if each.created_by != SAMPLE_ACTOR),
        tuple(each.account_id for each in undeclared),
        loads,
        gate.ask_staff(_BUILT)[0].raw_load_id if gate.has_checks() else 0,
        gate.publication.raw_load_id if gate.publication else 0,
        tuple(
            each.check_name for each in checks if not each.is_passed and each.severity == "error"
        ),
    )


def _specs(settings: Settings) -> tuple[tuple[str, ...], bool]:
    """The names of declared sources' files, and whether there is a folder of them."""
    if settings.sources is None or not settings.sources.is_dir():
        return (), False
    files = [*settings.sources.glob("*.yaml"), *settings.sources.glob("*.yml")]
    return tuple(sorted(file.stem for file in files)), True

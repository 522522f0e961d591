"""``meterhouse backup``, ``restore`` and ``relocate``: copies of a home that can be trusted."""

import json
import sys
from pathlib import Path

import click

from billing.store import place_of
from orchestration.commands.status import finding_line, store_credits, store_terms
from warehouse.backup.making import Made, Progress, make_backup
from warehouse.backup.restoring import broken_databases, check_figures, check_files, opened
from warehouse.backup.restoring import relocate as relocate_home
from warehouse.backup.restoring import restore as restore_backup
from warehouse.backup.sets import BackupSet, find_set, sets_of, total_size
from warehouse.doctor import Finding, examine
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings, load_settings

FOLDER = click.Path(file_okay=False, path_type=Path)


class _MakesByDefault(click.Group):
    """What names no command of the group is a folder to back up to."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in front that is meant."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_MakesByDefault)
def backup() -> None:
    """Back up lakes and store while everything runs: `meterhouse backup FOLDER`.

    `meterhouse backup check FOLDER` opens a backup and examines it.
    """


@backup.command()
@click.argument("folder", type=FOLDER)
@click.option("--keep", type=click.IntRange(1), help="Then remove all but so many newest sets.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def make(folder: Path, keep: int | None, as_json: bool) -> None:
    """Add a set to a backup folder; files that are there already are not copied again."""
    settings = load_settings()
    made = make_backup(
        settings, place_of(settings), folder, keep=keep, progress=_progress("copying")
    )
    click.echo(json.dumps(vars(made), indent=2) if as_json else made_line(made, folder))


@backup.command()
@click.argument("folder", type=FOLDER)
@click.option("--set", "name", help="Check this set instead of the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def check(context: click.Context, folder: Path, name: str | None, as_json: bool) -> None:
    """Open a backup as lakes and a store of its own and examine it; exits with 1 on a problem."""
    chosen = find_set(folder.expanduser().absolute(), name)
    findings = check_findings(chosen, load_settings())
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        click.echo(f"set {chosen.name}")
        for finding in findings:
            click.echo(finding_line(finding))
    if any(finding.verdict == "problem" for finding in findings):
        context.exit(1)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--set", "name", help="Restore this set instead of the newest.")
def restore(folder: Path, name: str | None) -> None:
    """Restore a backup into an empty home, the one that METERHOUSE_HOME names."""
    settings = load_settings()
    chosen = find_set(folder.expanduser().absolute(), name)
    manifest = restore_backup(chosen, settings, place_of(settings), _progress("restoring"))
    click.echo(
        f"restored {len(manifest.files):,} files, {_size(total_size(manifest.files))}, as of "
        f"{manifest.started_at} into {settings.home}; load again what has landed since: what is "
        "there already is not counted twice"
    )


@click.command()
def relocate() -> None:
    """Open a home that was moved: tell its catalogs where their files lie now."""
    settings = load_settings()
    count = relocate_home(settings)
    click.echo(f"{settings.home}: the catalogs find all {count:,} files where they are now")


def check_findings(chosen: BackupSet, settings: Settings) -> list[Finding]:
    """All that is found of a set: its files, then what doctor says of it, then its figures."""
    manifest = chosen.manifest()
    findings = list(check_files(chosen, manifest))
    unfinished = [each.name for each in sets_of(chosen.folder) if not each.is_finished]
    if unfinished:
        findings.append(
            Finding(
                "unfinished_sets",
                "warning",
                f"{len(unfinished)} sets were never finished, such as {unfinished[0]}; the next "
                "backup removes them",
            )
        )
    if broken_databases(chosen, manifest):
        return [*findings, Finding("opening", "problem", "it cannot be opened without them")]
    try:
        with opened(chosen, manifest, settings) as own:
            credits = store_credits(own) if manifest.store else None
            terms = store_terms(own) if manifest.store else None
            found = examine(own, terms, store_credits=credits)
            findings += [each for each in found if not each.name.endswith("_orphans")]
            findings.append(check_figures(manifest, own))
    except MeterhouseError as error:
        findings.append(Finding("opening", "problem", f"it cannot be opened: {error}"))
    return findings


def made_line(made: Made, folder: Path) -> str:
    """What a backup did, for people."""
    text = (
        f"set {made.name}: {made.files:,} files, {_size(made.size)}, of which {made.new_files:,} "
        f"new, {_size(made.new_size)}"
    )
    if made.removed_sets:
        text += f"; removed {made.removed_sets} older sets and {made.removed_files} files"
    return f"{text}; examine it with `meterhouse backup check {folder}`"


def _progress(what: str) -> Progress:
    """What tells on a terminal how far it is."""

    def tell(count: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{what} {count:,} of {total:,} files", nl=count == total, err=True)

    return tell


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"

"""``fusionfer cache``: look after caches: verify, repair, ls, merge, prune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from .options import json_option, lock_option, max_pixels_option, memory_option, quiet_option, wait_option
from .planning import pixels_of, planned, stored_in
from .progress import progress_bar
from .stopping import stopping
from .tables import print_json, print_table
from .wording import as_options

SAMPLES_SHOWN = 1000

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


class _InOrder(click.Group):
    """Lists the verbs in the order of this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder)
def cache() -> None:
    """Look after caches: is all sound, what is there.

    \b
    Examples:
      fusionfer cache ls
      fusionfer cache verify features_cache/fer2013
      fusionfer cache repair features_cache/fer2013 fer2013.zip
    """


@cache.command()
@click.argument("paths", nargs=-1, required=True, metavar="CACHE...", type=_PATH)
@json_option
@memory_option
@quiet_option
def verify(paths: tuple[Path, ...], as_json: bool, memory: int | None, quiet: bool) -> int:
    """Compare all checksums; name damaged samples.

    CACHE is a cache file or a folder of them. Each damaged sample is one line on stdout: file, a tab, id. Exits with
    1 if anything is damaged; an unfinished file is not, for what it has.

    \b
    Examples:
      fusionfer cache verify features_cache/fer2013
      fusionfer cache verify features_cache/fer2013 --json
    """
    from fusionfer.costs import estimate_verifying
    from fusionfer.maintenance import verify

    found = stored_in(paths)
    with planned(estimate_verifying(found.bytes, found.rows), memory, quiet or not found.bytes):
        verdicts = verify(paths)
    if as_json:
        print_json([{**_plain(asdict(one)), "sound": one.sound} for one in verdicts])
    else:
        print_table(["file", "block", "rows", "state"], [_verdict_row(one) for one in verdicts])
        for one in verdicts:
            for sample in one.damaged:
                click.echo(f"{one.path.name}\t{sample}")
    for one in verdicts:
        if not one.sound:
            click.echo(f"fusionfer: {one.path}: {_why(one)}", err=True)
    return 0 if all(one.sound for one in verdicts) else 1


@cache.command()
@click.argument("cache", type=_PATH)
@click.argument("data", type=_PATH)
@click.option(
    "--weights",
    multiple=True,
    metavar="BACKBONE=PATH",
    help="Where weights lie that are no longer where the cache saw them; others are refused. Repeatable.",
)
@click.option("--path-column", help="Column of a manifest that holds the paths, where its name is unusual.")
@click.option("--label-column", help="Likewise for the labels.")
@click.option("--allow-outside-root", is_flag=True, help="Follow manifest paths that leave the data's own folder.")
@max_pixels_option
@click.option(
    "--device",
    default="recorded",
    show_default=True,
    help="recorded (the one the cache was made on, if it is here), or as for extract.",
)
@memory_option
@wait_option
@lock_option
@quiet_option
def repair(
    cache: Path,
    data: Path,
    weights: tuple[str, ...],
    path_column: str | None,
    label_column: str | None,
    allow_outside_root: bool,
    max_pixels: int,
    device: str,
    memory: int | None,
    wait: float,
    lock: bool,
    quiet: bool,
) -> int:
    """Extract damaged rows again, and only those.

    CACHE is a folder of caches, or a file in it; DATA what it was extracted from. Backbone, level, weights, size and
    batches are those recorded in the damaged file; if any of them cannot be had, nothing is changed and the message
    names what differs. Says how many blocks are equal to the bit to what was there before. A file of which nothing
    can be read is made anew, if its name and the other files tell what it was.

    \b
    Examples:
      fusionfer cache repair features_cache/fer2013 fer2013.zip
      fusionfer cache repair features_cache/faces faces/ --weights resnet34=r34.safetensors
    """
    from fusionfer.costs import estimate_repair
    from fusionfer.images import read_faces
    from fusionfer.maintenance import repair

    faces = read_faces(
        data,
        path_column=path_column,
        label_column=label_column,
        allow_outside_root=allow_outside_root,
        on_error="skip",
        max_pixels=max_pixels,
    )
    found = stored_in([cache])
    backbones = [block.partition(":")[0] for block in found.blocks]
    cost = estimate_repair(found.bytes, found.rows, backbones, pixels=pixels_of(faces))
    with planned(cost, memory, quiet) as announce, progress_bar(quiet) as progress, stopping() as stop:
        mended = repair(
            cache, faces, weights=_by_backbone(weights), device=device, wait=wait, lock=lock,
            progress=announce(progress), stop=stop,
        )  # fmt: skip
    if not mended:
        click.echo("Nothing to repair: no complete cache is damaged.")
        return 0
    print_table(
        ["file", "samples", "equal to before"],
        [[one.path.name, f"{len(one.samples):,}", _equal(one)] for one in mended],
        title=f"Repaired, in {mended[0].path.parent}",
    )
    failed = [item for one in mended for item in one.failed]
    for sample, reason in failed[:SAMPLES_SHOWN]:
        click.echo(f"fusionfer: skipped {sample}: {as_options(reason)}", err=True)
    return 3 if failed else 0


@cache.command()
@click.argument("path", default="features_cache", type=_FOLDER, metavar="[FOLDER]")
@json_option
def ls(path: Path, as_json: bool) -> int:
    """What is there, how large, how complete.

    FOLDER is a folder of caches, or one that holds such folders; by default features_cache. Shards that are not joined
    yet are listed by themselves. Checksums are not compared, so this is quick: fusionfer cache verify does that.

    \b
    Examples:
      fusionfer cache ls
      fusionfer cache ls features_cache/fer2013 --json
    """
    from fusionfer.maintenance import list_caches

    listings = list_caches(path)
    if as_json:
        print_json(
            [
                {"folder": str(one.folder), "bytes": one.bytes, "files": [asdict(entry) for entry in one.entries]}
                for one in listings
            ]
        )
        return 0
    for one in listings:
        print_table(
            ["file", "block", "columns", "rows", "MB", "state", "weights"],
            [_entry_row(entry) for entry in one.entries],
            title=f"{one.folder}: {one.bytes / 1e6:,.1f} MB",
        )
    return 0


@cache.command()
@click.argument("shards", nargs=-1, required=True, metavar="SHARD...", type=_FOLDER)
@click.option("--out", required=True, type=_FOLDER, help="Folder of the merged cache.")
@memory_option
@wait_option
@lock_option
@quiet_option
def merge(shards: tuple[Path, ...], out: Path, memory: int | None, wait: float, lock: bool, quiet: bool) -> int:
    """Join the caches of several processes into one.

    Each SHARD is a folder of complete caches of consecutive whole batches, in this order unless the files record
    their own. The result equals what one process would have written. The shards stay as they are.

    \b
    Example:
      fusionfer cache merge shards/0 shards/1 --out features_cache/fer2013
    """
    from fusionfer.costs import estimate_merging
    from fusionfer.maintenance import merge

    found = [stored_in([shard]) for shard in shards]
    cost = estimate_merging(sum(one.bytes for one in found), sum(one.rows for one in found))
    with planned(cost, memory, quiet) as announce, progress_bar(quiet) as progress:
        merged = merge(shards, out, wait=wait, lock=lock, progress=announce(progress))
    print_table(
        ["file", "what happened"],
        [[one.path.name, f"made of {len(one.shards)} shards" if one.new else "was there already"] for one in merged],
        title=f"Merged, in {out}",
    )
    return 0


@cache.command()
@click.argument("folder", type=_FOLDER, metavar="CACHE")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--superseded",
    is_flag=True,
    help="Also files of an older release, where a newer one holds the same rows by the same weights. Models that were "
    "fitted to the older features need the older file to be fitted or evaluated again.",
)
@memory_option
@wait_option
@lock_option
@quiet_option
def prune(
    folder: Path, yes: bool, dry_run: bool, superseded: bool, memory: int | None, wait: float, lock: bool, quiet: bool
) -> int:
    """Remove what nothing refers to, after asking.

    That is: what kills left, unfinished files whose rows are all in a finished one, second copies, and shards that
    have been joined. Never the only copy of a feature, never a file that cannot be read or is none of fusionfer's.

    \b
    Example:
      fusionfer cache prune features_cache/fer2013 --dry-run
    """
    from fusionfer.costs import estimate_verifying
    from fusionfer.maintenance import prune

    def show(found: list[Any]) -> None:
        rows = [[str(item.path.relative_to(folder)), f"{item.bytes / 1e6:,.1f}", item.why] for item in found]
        print_table(["file", "MB", "why"], rows, title=f"To be removed from {folder}")

    def confirm(found: list[Any]) -> bool:
        show(found)
        return yes or _asked(len(found))

    stored = stored_in([folder])  # all checksums are compared before anything counts as a copy
    cost = replace(estimate_verifying(stored.bytes, stored.rows), what="cache prune")
    with planned(cost, memory, quiet or not stored.bytes):
        found = prune(folder, superseded=superseded, confirm=None if dry_run else confirm, wait=wait, lock=lock)
    if dry_run and found:
        show(found)
        click.echo(f"Would remove {len(found)} files.")
    else:
        click.echo(f"Removed {len(found)} files." if found else "Nothing removed.")
    return 0


def _asked(count: int) -> bool:
    """Ask; where nobody answers, refuse by naming the option."""
    try:
        return click.confirm(f"Remove {count} files?", err=True)
    except click.Abort as error:
        msg = "Nothing was removed, as nobody answered. Give --yes."
        raise click.UsageError(msg) from error


def _by_backbone(weights: Sequence[str]) -> dict[str, str]:
    found = {}
    for value in weights:
        name, separator, path = value.partition("=")
        if not separator or "/" in name:
            msg = f"--weights {value}: name the backbone, as in resnet34={value}."
            raise click.UsageError(msg)
        found[name] = path
    return found


def _verdict_row(one: Any) -> list[str]:
    state = "sound" if one.sound else f"damaged: {len(one.damaged):,}" if one.damaged else "damaged"
    if not one.finished:
        state = f"unfinished, {one.missing:,} rows to come; {state}"
    return [one.path.name, one.block or "?", f"{one.rows:,}" if one.rows else "?", state]


def _equal(one: Any) -> str:
    return f"{one.identical} of {one.blocks} blocks" if one.blocks else "nothing was readable"


def _why(one: Any) -> str:
    if one.named_by is not None:
        return f"{one.why} All samples are damaged; their names are from {one.named_by.name}."
    return one.why


def _entry_row(entry: Any) -> list[str]:
    name, size = Path(entry.path).name, f"{entry.bytes / 1e6:,.1f}"
    if not entry.block:
        what = {"draft": "left by a kill", "other": "no cache"}.get(entry.kind, "unreadable")
        return [name, "", "", "", size, what, ""]
    failed = f", {entry.failed:,} failed" if entry.failed else ""
    percent = f"{100 * (entry.rows - entry.absent) // entry.rows} %"
    state = "complete" if entry.kind == "complete" else f"{percent}, {entry.absent:,} rows to come"
    return [name, entry.block, str(entry.dim), f"{entry.rows:,}", size, state + failed, _weights(entry.weights)]


def _weights(weights: dict[str, Any]) -> str:
    if not weights.get("sha256"):
        return str(weights.get("name") or "not recorded")
    seed = f", seed {weights['seed']}" if weights.get("seed") is not None else ""
    return f"{weights.get('name')} (sha256 {str(weights['sha256'])[:8]}{seed})"


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return paths as text, as JSON knows none."""
    return {name: str(item) if isinstance(item, Path) else item for name, item in value.items()}

"""``fusionfer report``: from what a run left on the disk to its page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fusionfer.audit import read_copies
from fusionfer.cache import CacheFolder
from fusionfer.evaluation import evaluate, read_for_model
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.images import SplitFile, read_faces
from fusionfer.persistence import Model, load_model
from fusionfer.reporting._faces import Album
from fusionfer.reporting._networks import is_training, read_training, report_networks
from fusionfer.reporting._pages import report_evaluation, report_fit
from fusionfer.reporting._replays import REPLAY, report_replay

__all__ = ["read_audit", "report_run"]

Progress = Callable[[int, int, str], None]

#: What ``fusionfer demo`` leaves in its folder.
MODEL, CACHE = "model.fusionfer", "cache"


def report_run(
    run: str | Path,
    folder: str | Path,
    *,
    cache: str | Path | None = None,
    data: str | Path | None = None,
    audit: str | Path | None = None,
    split: str = "test",
    splits: SplitFile | None = None,
    trust: Sequence[str] = (),
    commands: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Write the report of a run into a folder: one page that stands alone, the same in Markdown and JSON.

    Parameters
    ----------
    run : path
        A model that `fusionfer.persistence.save_model` wrote; or the folder of a training, of a replayed protocol, or
        of the demo.
    folder : path
        Of the report; made if it does not exist.
    cache : path, optional
        Of a model: the features to score it on. Without it, the page says how the model was made alone.
    data : path, optional
        The pictures, as `fusionfer.images.read_faces` takes them: adds faces and mistakes.
    audit : path, optional
        What ``fusionfer audit DATA --json`` printed: adds what was found, and scores without copies of what was trained
        on.
    split : str
        Rows of `cache` to score: a split, several joined by ``+``, or ``all``. Of a training, the split that was
        scored.
    splits : SplitFile, optional
        Takes the place of the splits of the features; of a model only.
    trust : sequence of str
        See `fusionfer.persistence.load_model`.
    commands : sequence of str
        Command lines to show last.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    DataError
        If `run` is none of these, an option does not go with it, or the pictures are not those of the run.
    ModelError
        If the model is damaged, or the features are not those that it was trained on.
    ReportError
        If the report cannot be written.
    """

    def told(step: int) -> None:
        if progress is not None:
            progress(step, 4, "report: features, scores, pictures, page")

    run = Path(run)
    found = None if audit is None else read_audit(audit)
    if run.is_dir() and (run / MODEL).is_file():
        cache = cache if cache is not None or not (run / CACHE).is_dir() else run / CACHE
        run = run / MODEL
    if run.is_dir():
        if cache is not None or splits is not None:
            msg = f"{run} is no model: only a model is scored on a cache, by splits. Leave --cache and --splits out."
            raise DataError(msg)
        if (run / REPLAY).is_file():
            if data is not None or found is not None or split != "test":
                msg = f"{run} is a replayed protocol, which names its data, copies and rows itself: leave --data, "
                msg += "--audit and --split out."
                raise DataError(msg)
            return report_replay(folder, run, commands=commands)
        if is_training(run):
            training = read_training(run, split)
            album = None
            if data is not None:
                best = training.best
                album = Album.of(read_faces(data, on_error="skip"), best.ids, best.y_true, best.splits, best.digests)
            return report_networks(folder, training, album=album, audit=found, commands=commands)
        msg = (
            f"{run} holds no run: neither {MODEL}, nor {REPLAY}, nor networks of fusionfer train. Give a model file, "
            "or the folder of fusionfer train, replay or demo."
        )
        raise DataError(msg)
    model = load_model(run, trust=trust)
    if cache is None:
        if data is not None or splits is not None or split != "test":
            msg = "Pictures and splits are those of samples that are scored: give --cache with --data, --split and "
            msg += "--splits."
            raise DataError(msg)
        return report_fit(folder, None, model, title=run.name, audit=found, commands=commands)
    scored = read_for_model(cache, model)
    copies = None if audit is None else read_copies(audit)
    told(1)
    evaluation = evaluate(scored, model, split, splits=splits, copies=copies)
    told(2)
    features = _candidates(Path(cache), model, scored)
    features = features if splits is None else features.resplit(splits)
    album = None
    if data is not None:
        album = Album.of(read_faces(data, on_error="skip"), features.ids, features.y, features.splits, features.digests)
    told(3)
    page = report_evaluation(
        folder,
        evaluation,
        title=f"{run.name} on {split} of {Path(cache).resolve().name}",
        model=model,
        features=features,
        cache=str(cache),
        album=album,
        audit=found,
        commands=commands,
    )
    told(4)
    return page


def _candidates(cache: Path, model: Model, scored: Features) -> Features:
    """Return the features of all candidates, as far as they are still there: a single block may have won."""
    there = CacheFolder(cache).blocks()
    wanted = [name for name in model.selection.get("scores", {}) if name in there]
    return scored if set(wanted) <= set(scored.blocks) else Features.read(cache, wanted)


def read_audit(path: str | Path) -> dict[str, Any]:
    """Read what ``fusionfer audit DATA --json`` printed, to be shown.

    Raises
    ------
    DataError
        If the file cannot be read, or is no audit.
    """
    path = Path(path)
    read_copies(path)  # checks that it is JSON, and the ids of its groups
    found = json.loads(path.read_bytes())
    wrong = [name for name, fits in _FORM.items() if found.get(name) is not None and not fits(found[name])]
    if wrong:
        msg = f"{path} is no audit: its {' and '.join(wrong)} must be of the form that fusionfer audit --json prints."
        raise DataError(msg)
    return found


def _are_texts(one: Any) -> bool:
    return isinstance(one, list) and all(isinstance(text, str) for text in one)


def _are_groups(one: Any) -> bool:
    return all(_are_texts(group.get("labels")) and _are_texts(group.get("splits")) for group in one)


def _are_counts(one: Any) -> bool:
    rows = one.values() if isinstance(one, dict) else [None]
    return all(isinstance(row, dict) and all(isinstance(n, int) for n in row.values()) for row in rows)


#: What is read of an audit, and what each entry must be.
_FORM: dict[str, Callable[[Any], bool]] = {
    "name": lambda one: isinstance(one, str),
    "n_samples": lambda one: isinstance(one, int),
    "counts": _are_counts,
    "persons": _are_counts,
    "copies": _are_groups,
    "near": _are_groups,
    "leaked": lambda one: isinstance(one, dict) and all(isinstance(ids, list) for ids in one.values()),
    "blank": lambda one: isinstance(one, list),
    "unreadable": lambda one: isinstance(one, list),
}

"""replay: a protocol as it is published and, beside it, without one cause of its figure after the other."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, FusionferWarning, ReportError, unknown_name
from fusionfer.heads import make_head
from fusionfer.images import FaceSet, read_ferplus
from fusionfer.protocols._arranging import arrange, released_splits
from fusionfer.protocols._causes import Step, steps_to_honest
from fusionfer.protocols._extracting import extract_once
from fusionfer.protocols._material import Material, look_for_copies, read_material
from fusionfer.protocols._protocol import Protocol, change_protocol, idle_keys, read_protocol
from fusionfer.protocols._scoring import Outcome, check_network, run_head, run_network, run_trained_features
from fusionfer.training import read_recipe

__all__ = ["Replay", "Result", "replay"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Result:
    """One run, repeated with several draws of the split.

    Attributes
    ----------
    cause : str
        What was switched off last; empty for the protocol as it is.
    remaining : tuple of str
        Causes that still make the figure too good.
    accuracies : tuple of float
        One for each repetition, in [0, 1].
    outcome : Outcome
        Of the first repetition.
    leaking : bool
        Whether groups, or a face and its changed copies, stood on both sides.
    """

    cause: str
    remaining: tuple[str, ...]
    accuracies: tuple[float, ...]
    outcome: Outcome
    leaking: bool

    @property
    def accuracy(self) -> float:
        """Mean over the repetitions."""
        return float(np.mean(self.accuracies))

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""
        scores = self.outcome.scores
        return {
            "cause_switched_off": self.cause,
            "still_too_good_by": list(self.remaining),
            "leaking": self.leaking,
            "accuracy": self.accuracy,
            "accuracies": list(self.accuracies),
            "macro_f1": _finite(scores.macro["f1"]),
            "balanced_accuracy": _finite(scores.balanced_accuracy),
            "n_train": self.outcome.n_train,
            "n_scored": scores.n,
            "chosen": self.outcome.chosen,
        }


@dataclass(frozen=True)
class Replay:
    """What `replay` found.

    Attributes
    ----------
    protocol : Protocol
        As it was run.
    results : tuple of Result
        The protocol as it is first; with ``beside="honest"`` then without one cause after the other, the honest one
        last.
    reduced : tuple of str
        In what the run is smaller than, or other than, what the protocol says.
    notes : tuple of str
    """

    protocol: Protocol
    results: tuple[Result, ...]
    reduced: tuple[str, ...]
    notes: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it; differences are in accuracy, from one run to the next."""
        steps = [one.describe() for one in self.results]
        for before, after, step in zip(self.results, self.results[1:], steps[1:], strict=False):
            step["difference"] = after.accuracy - before.accuracy
        return {
            "protocol": self.protocol.describe(),
            "claimed_accuracy": self.protocol.claim.accuracy / 100 or None,
            "claimed_where": self.protocol.claim.where,
            "reduced": list(self.reduced),
            "results": steps,
            "notes": list(self.notes),
        }


def replay(
    protocol: str | Path | Protocol,
    data: str | Path | FaceSet,
    *,
    beside: str | None = None,
    labels: str | Path | None = None,
    weights: str | Mapping[str, str] | Sequence[str] | None = None,
    known: Sequence[str] = (),
    limit: int | None = None,
    repeats: int = 1,
    seed: int = 0,
    cache: str | Path,
    out: str | Path,
    device: str = "auto",
    changes: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Replay:
    """Run a published protocol, and beside it the honest one.

    All runs of one protocol use the same faces, the same changed copies and, of backbones, the same cached features:
    only who trains, who is scored and by what is chosen differ. Causes are switched off one after the other, in the
    order of `fusionfer.protocols.CAUSES`; another order would share the difference out among them in another way.

    Parameters
    ----------
    protocol : str, path or Protocol
        A name of `PROTOCOLS`, or a TOML file.
    data : path or FaceSet
        What `fusionfer.images.read_faces` reads.
    beside : {None, "honest"}
    labels : path, optional
        FER+'s ``fer2013new.csv``, where the protocol needs it. With it, a note says how often annotators agree on the
        faces that are scored: a ceiling of accuracy, as far as labels are like one annotator's.
    weights : str, mapping or sequence, optional
        As `fusionfer.extraction.extract_to_cache` takes them, in the place of the protocol's; for features only.
    known : sequence of str
        Splits of `data` whose faces the weights were trained on. Checkpoints of fusionfer say it themselves.
    limit : int, optional
        Faces that take part at most, drawn with `seed`, for a run of reduced size.
    repeats : int
        Draws of the split, with seeds from `seed` on; a split as released is always the same.
    seed : int
    cache, out : path
        Folder of the features, and folder of the result (``replay.json``) and of trained networks.
    device : str
    changes : mapping, optional
        Keys of the protocol, as ``{"features.size": 48}``.
    training : mapping, optional
        Keys of the recipe of a protocol that trains networks, as ``{"epochs": 2}``.
    progress, say : callable, optional
        Called as ``progress(done, total, what)``, and with a sentence after each run.

    Returns
    -------
    Replay

    Raises
    ------
    UnknownNameError
        If a name or key does not exist.
    DataError
        If the faces do not do for the protocol, or a number is not allowed.

    Warns
    -----
    FusionferWarning
        If the protocol divides groups; its runs are marked as ``leaking``, too.
    """
    if beside not in (None, "honest"):
        raise unknown_name("protocol to stand beside", str(beside), ["honest"], plural="ones")
    for name, value, least in (("limit", limit, 10), ("repeats", repeats, 1), ("seed", seed, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            msg = f"{name} must be a whole number from {least}, got {value!r}."
            raise DataError(msg)
    published = protocol if isinstance(protocol, Protocol) else read_protocol(protocol)
    asked = change_protocol(published, changes or {})
    training = dict(training or {})
    idle = idle_keys(asked, changes or {})
    if idle:
        said = "; ".join(f"{key} {why}" for key, why in idle.items())
        hint = " Keys of its recipe have no section, as in --set size=48." if asked.network.recipe else ""
        msg = f"These would change nothing in the protocol {asked.name}: {said}.{hint}"
        raise DataError(msg)
    if asked.network.recipe:
        check_network(asked, training)
        if weights is not None:
            msg = (
                f"The protocol {asked.name} trains its network: what that begins with is a key of its recipe, "
                "training={'weights': FILE} (--set weights=FILE)."
            )
            raise DataError(msg)
    elif training:
        msg = (
            f"The protocol {asked.name} trains no network: {', '.join(training)} can be set of protocols with a "
            "recipe. Keys of a protocol have a section, as in features.size."
        )
        raise DataError(msg)
    else:
        make_head(asked.head.name)  # a wrong name should not come out after hours of extraction
    used = asked.features.weights if weights is None else weights
    if asked.network.recipe:  # what its networks begin with
        used = list(read_recipe(asked.network.recipe, **training).weights_by_network().values())
    material = read_material(
        asked, data, labels=labels, weights=used, known=known, limit=limit, seed=seed, progress=progress
    )
    if beside == "honest" or asked.cleaning.copies == "apart":
        pools = {asked.data.known, "leave-out"} if beside == "honest" else {asked.data.known}
        material = look_for_copies(material, sorted(pools), *released_splits(asked), progress=progress)
    steps, notes = steps_to_honest(asked, material)
    steps = steps if beside == "honest" else steps[:1]
    seeds = [seed] if asked.split.how == "released" else list(range(seed, seed + repeats))
    plans = [[arrange(step.protocol, material, one) for one in seeds] for step in steps]
    if any(faces.leaking for arranged in plans[0] for faces in arranged):
        msg = (
            f"The protocol {asked.name} puts persons, or a face and its changed copies, on both sides of its split: "
            "its figure says nothing about new faces."
        )
        warnings.warn(msg, FusionferWarning, stacklevel=2)
    if labels is not None:
        notes.append(_ceiling(labels, material, plans[-1][0]))
    results = []
    features = None if asked.network.recipe else extract_once(asked, plans, material, used, cache, device, progress)
    for number, (step, plan) in enumerate(zip(steps, plans, strict=True)):
        outcomes = []
        for one, arranged in zip(seeds, plan, strict=True):
            if features is not None:
                outcomes.append(run_head(step.protocol, features, arranged, one, progress))
            else:
                where = Path(out) / "networks" / f"{number}-{one}-{_named_by(step.protocol, arranged, training)}"
                run = run_trained_features if asked.ends_in_head else run_network
                outcomes.append(
                    run(
                        step.protocol, arranged, one, out=where, overrides=training, device=device, progress=progress,
                        say=say,
                    )
                )  # fmt: skip
        results.append(_result(step, plan, outcomes))
        if say is not None:
            what = f"without {step.cause}" if step.cause else "the protocol as it is"
            say(f"{asked.name}, {what}: {results[-1].accuracy:.1%}")
    found = Replay(
        asked, tuple(results), _reduced(published, asked, material, weights, training), (*material.notes, *notes)
    )
    _write(Path(out), found)
    return found


def _ceiling(labels: str | Path, material: Material, arranged: Sequence[FaceSet]) -> str:
    """Say how often annotators agree on the faces that the last of the runs scores; changed copies have no votes."""
    scored = {name for faces in arranged for name in faces.ids[faces.splits == "test"].tolist()}
    own = [name for name in material.faces.ids.tolist() if name in scored]
    return read_ferplus(labels).ceiling(material.faces.classes, own).sentence()


def _named_by(protocol: Protocol, arranged: Sequence[FaceSet], training: Mapping[str, Any]) -> str:
    """Return what a folder of networks is named by: another question has another one, and none is in the way."""
    asked = hashlib.sha256(json.dumps([protocol.describe(), dict(training)], default=str).encode())
    for faces in arranged:
        asked.update("\n".join([*faces.ids.tolist(), *faces.splits.tolist()]).encode())
    return asked.hexdigest()[:8]


def _result(step: Step, plan: Sequence[Sequence[FaceSet]], outcomes: Sequence[Outcome]) -> Result:
    return Result(
        step.cause,
        step.remaining,
        tuple(one.scores.accuracy for one in outcomes),
        outcomes[0],
        any(faces.leaking for arranged in plan for faces in arranged),
    )


def _reduced(
    published: Protocol, asked: Protocol, material: Material, weights: Any, training: Mapping[str, Any]
) -> tuple[str, ...]:
    """Say in what the run is other than the protocol's file says."""
    said = []
    offered = material.places(asked.data.known, *released_splits(asked))
    if material.limit is not None and material.limit < len(offered):
        said.append(f"{material.limit:,} of {len(material.faces):,} faces")
    before, after = published.describe(), asked.describe()
    for section in after:
        if isinstance(after[section], dict):
            said += [
                f"{section}.{key} = {value!r}" for key, value in after[section].items() if before[section][key] != value
            ]
    if weights is not None and not asked.network.recipe:
        said.append("other weights")
    for key, value in training.items():
        said.append(f"{key} = {_without_folders(value)!r}")
    return tuple(said)


def _without_folders(value: Any) -> Any:
    """Return a text with its paths as names of files: "resnet34=/a/b.safetensors" as "resnet34=b.safetensors"."""
    if not isinstance(value, str):
        return value
    parts = [part.rpartition("=") for part in value.split(",")]
    return ",".join(head + equals + (Path(path).name if Path(path).is_file() else path) for head, equals, path in parts)


def _write(folder: Path, found: Replay) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found.describe(), indent=2, allow_nan=False, ensure_ascii=False)
        (folder / "replay.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror or error}."
        raise ReportError(msg) from error


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

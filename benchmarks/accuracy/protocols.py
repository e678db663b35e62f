"""``python -m benchmarks.accuracy.protocols``: published protocols beside the honest ones, as docs/protocols.md shows.

    python -m benchmarks.accuracy.protocols --data fer2013.zip --labels fer2013new.csv --weights WEIGHTS --work WORK \
        --write docs/protocols.md

WEIGHTS holds ``resnet34-fer2013-48.safetensors`` and ``resnet50-fer2013-48.safetensors``: stand-ins that were trained
on the split train of DATA, of which faces of the other splits are therefore drawn. WORK keeps features and results, so
that a second run only computes what is new. Between the markers of the page everything is written anew, and a figure
beside it. With ``--only TEXT`` those runs whose heading holds TEXT are made, and the others taken from WORK.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionfer.images import FaceSet, generate_faces
from fusionfer.protocols import read_protocol, replay, replay_table
from fusionfer.report import markdown_table, png_bytes, steps_figure

BEGIN, END = "<!-- made by benchmarks.accuracy.protocols: begin -->", "<!-- end -->"
TINY = {"weights": "none", "batch_size": 32}


@dataclass(frozen=True)
class Asked:
    """One replay of the page: what stands above it, the protocol and what is other than there."""

    heading: str
    protocol: str
    changes: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    cache: str = ""
    faces: Callable[[], FaceSet] | None = None
    begin_with: tuple[str, ...] = ()  # the stand-ins that networks begin with


def persons() -> FaceSet:
    """Thirty invented people, five takes of seven expressions: of the form of CK+."""
    return generate_faces(30, takes=5, size=48, seed=6)


AT_48 = {"features.size": 48}
BOTH = AT_48 | {"features.backbones": ["resnet34", "resnet50"]}
FINE_TUNING = {
    "size": 48, "epochs": 40, "batch_size": 32, "rotation": 0, "shift": 0, "flip": 0, "precision": "bf16-mixed",
}  # fmt: skip
BOTH_TRAINED = {
    "features.weights": "trained", "network.recipe": "singh-mandloi-2025", "network.optimizers": ["adam"],
}  # fmt: skip
RUNS = (
    Asked("Singh and Mandloi: features before the last layer", "singh-mandloi-2025",
          BOTH | {"features.level": "penultimate"}, options={"repeats": 3}, cache="copies"),
    Asked("Singh and Mandloi: features of the last layer", "singh-mandloi-2025", BOTH,
          options={"repeats": 3, "limit": 2000}, cache="logits"),
    Asked("Singh and Mandloi, with faces that the weights know", "singh-mandloi-2025",
          BOTH | {"features.level": "penultimate", "data.known": "keep"}, options={"repeats": 3, "limit": 2000},
          cache="known"),
    Asked("Singh and Mandloi: a network trained on the split", "singh-mandloi-2025",
          {"network.recipe": "singh-mandloi-2025", "network.networks": ["resnet34"], "network.optimizers": ["adam"]},
          training=FINE_TUNING, options={"limit": 300}, begin_with=("resnet34",)),
    Asked("Singh and Mandloi: both networks trained, ECOC on their last layers", "singh-mandloi-2025",
          BOTH_TRAINED, training=FINE_TUNING, options={"limit": 300}, begin_with=("resnet34", "resnet50")),
    Asked("Several levels and boosting", "multilevel-xgb", AT_48, options={"repeats": 3, "limit": 4000}, cache="multi"),
    Asked("FER-2013, PrivateTest", "fer2013/private-test", BOTH, cache="released"),
    Asked("FER-2013, PrivateTest without copies", "fer2013/private-test-clean", BOTH, cache="released"),
    Asked("FER+, majority", "ferplus/majority", BOTH, cache="ferplus"),
    Asked("CK+ at random, on invented persons", "ckplus/random-80-20", AT_48 | {"features.backbones": ["resnet34"]},
          options={"repeats": 3}, cache="persons", faces=persons),
    Asked("CK+ in folds of persons, on invented persons", "ckplus/subject-10fold",
          AT_48 | {"features.backbones": ["resnet34"]}, cache="persons", faces=persons),
    Asked("Malik and others, end to end", "malik-2025", training=TINY | {"epochs": 3, "size": 64},
          options={"limit": 1500}),
    Asked("Praveen and others, end to end", "praveen-2025", training=TINY | {"epochs": 2, "size": 64},
          options={"limit": 1000}),
    Asked("Kumar and Agarwal, end to end", "kumar-agarwal-2024", training=TINY | {"epochs": 2, "size": 64},
          options={"limit": 1000}),
)  # fmt: skip


def run(asked: Asked, options: argparse.Namespace) -> dict[str, Any]:
    """Make one replay and return what the page needs of it."""
    protocol = read_protocol(asked.protocol)
    training = dict(asked.training)
    features: dict[str, Any] = {}
    if asked.begin_with:
        stand_ins = {name: options.weights / f"{name}-fer2013-48.safetensors" for name in asked.begin_with}
        training["weights"] = ",".join(f"{name}={path}" for name, path in stand_ins.items())
        features["known"] = ["train"]
    elif not protocol.network.recipe:
        names = asked.changes.get("features.backbones", protocol.features.backbones)
        features["weights"] = [f"{name}={options.weights / f'{name}-fer2013-48.safetensors'}" for name in names]
        if asked.faces is None:
            features["known"] = ["train"]
    begin = time.perf_counter()
    found = replay(
        protocol,
        asked.faces() if asked.faces else options.data,
        beside="honest",
        labels=None if asked.faces else options.labels,
        cache=options.work / "caches" / (asked.cache or "none"),
        out=folder_of(asked, options),
        changes=asked.changes,
        training=training,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        **features,
        **asked.options,
    )
    told = {
        "heading": asked.heading,
        "table": markdown_table(replay_table(found)),
        "notes": list(found.notes),
        "seconds": time.perf_counter() - begin,
        "claimed": protocol.claim.accuracy / 100,
        "steps": [[one.cause, one.accuracy] for one in found.results],
    }
    (folder_of(asked, options) / "page.json").write_text(json.dumps(told))
    return told


def folder_of(asked: Asked, options: argparse.Namespace) -> Path:
    """Where the result of a run lies."""
    return options.work / "out" / "-".join(asked.heading.lower().replace(",", "").replace(":", "").split())


def results(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Run what is asked for, and read the rest."""
    for asked in RUNS:
        kept = folder_of(asked, options) / "page.json"
        if options.only and not any(text in asked.heading for text in options.only):
            if kept.is_file():
                yield json.loads(kept.read_text())
            continue
        yield run(asked, options)


def section(told: dict[str, Any]) -> str:
    """Return one run as Markdown."""
    notes = " ".join(note for note in told["notes"] if not note.startswith("Named as"))
    title, _, table = told["table"].partition("\n")
    name, _, summary = title.lstrip("# ").partition(": ")
    text = f"### {told['heading']}\n\n`{name}`: {summary}.\n\n{table.strip()}\n"
    return text + (f"\n{notes}\n" if notes else "")


def overview(every: list[dict[str, Any]]) -> str:
    """Return one row for each run: claimed, here, honest, and which cause weighed most."""
    rows = ["| run | claimed, % | as it is, here | honest, here | what weighed most |", "|---|---:|---:|---:|---|"]
    for told in every:
        steps = told["steps"]
        falls = [(before[1] - after[1], after[0]) for before, after in itertools.pairwise(steps)]
        most = max(falls, default=(0.0, ""))
        weighed = f"{most[1]} ({100 * most[0]:.1f} points)" if most[0] > 0 else "nothing"
        claimed = f"{100 * told['claimed']:.1f}" if told["claimed"] else "–"
        first, last = (f"{100 * steps[i][1]:.1f}" for i in (0, -1))
        rows.append(f"| {told['heading']} | {claimed} | {first} | {last} | {weighed} |")
    return "\n".join(rows)


def main() -> None:
    """Make the runs and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.protocols", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="FER+'s fer2013new.csv")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", metavar="TEXT")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args()
    every = list(results(options))
    text = "\n".join([overview(every), "", *(section(told) for told in every)])
    print(text)
    if options.write is None:
        return
    page = options.write.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    options.write.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
    shown = next((told for told in every if "a network trained" in told["heading"]), every[0])
    steps = [("claimed", shown["claimed"])]
    for cause, accuracy in shown["steps"]:
        steps.append((f"without {cause}" if cause else "the protocol as it is, here", accuracy))
    options.write.with_name("protocols_singh_mandloi.png").write_bytes(png_bytes(steps_figure(steps)))


if __name__ == "__main__":
    main()

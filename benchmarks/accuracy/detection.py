"""``python -m benchmarks.accuracy.detection``: which faces `fusionfer.faces` finds, and how near its eyes are.

Generated scenes, whose truth is known: heads of invented people, some turned, some cut off by the border, in pictures
of 640 x 480 with a textured background; and the background alone. A face counts as found where a box overlaps the
true one by 0.4 of their union or more. The true box is the square whose eyes stand as in `fusionfer.faces.FRAME`.
With ``--fer2013`` also the share of FER-2013's pictures in which a face is found, and where the eyes are in them; and
the photographs that matplotlib and scikit-learn ship, whole and in parts. ``--pictures FOLDER`` writes the pictures of
``docs/faces.md``. The detector's numbers and `FRAME` were chosen on scenes and rows of seeds 0 and 1, so these are
refused: what a detector was tuned on says too much of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import matplotlib
import numpy as np
import sklearn

from benchmarks.speed._timing import machine
from fusionfer.faces import FRAME, Face, align, get_detector
from fusionfer.images import generate_faces, read_faces
from fusionfer.images._canvas import Canvas, View
from fusionfer.images._drawing import draw_face
from fusionfer.images._generated import EXPRESSIONS, _express

WIDTH, HEIGHT = 640, 480
PHOTOGRAPHS = {"grace_hopper.jpg": 1, "china.jpg": 0, "flower.jpg": 0}


@dataclass(frozen=True)
class Truth:
    """A face that is in a picture: its box, and its eyes from left to right."""

    box: tuple[float, float, float, float]
    eyes: np.ndarray


def background(rng: np.random.Generator) -> np.ndarray:
    """Return a picture without faces: smooth light, rectangles and ellipses of all colours, fine texture."""
    coarse = rng.integers(60, 190, (5, 7, 3), np.uint8)
    picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(25):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        size = tuple(int(v) for v in rng.integers(8, 90, 2))
        colour = rng.integers(30, 220, 3).tolist()
        if rng.random() < 0.5:
            cv2.rectangle(picture, (x, y), (x + size[0], y + size[1]), colour, -1)
        else:
            cv2.ellipse(picture, (x, y), size, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    grain = cv2.GaussianBlur(rng.normal(0, 25, (HEIGHT, WIDTH)), (0, 0), 1.5) * 2
    return np.clip(picture + grain[..., None], 0, 255).astype(np.uint8)


def paste(
    picture: np.ndarray, rng: np.random.Generator, person: Any, side: int, roll: float, at: tuple[int, int]
) -> Truth:
    """Draw a head of `side` pixels into a picture, its upper left corner at `at`, and return where it is."""
    actions = _express(rng, EXPRESSIONS[int(rng.integers(7))], person.rest)
    light = {"light_x": float(rng.uniform(-1, 1)), "light": float(rng.uniform(0.1, 0.35)), "roll": roll}
    pose = {"yaw": float(rng.normal(0, 0.1)), "pitch": float(rng.normal(0, 0.06))}
    views = [View(**light, **pose, background=(grey, grey, grey)) for grey in (0.0, 255.0)]
    on_black, on_white = (draw_face(person.looks, actions, view, size=side).astype(float) for view in views)
    nothing = Canvas().render(views[1], side)  # the white background as the light makes it
    alpha = np.clip(1 - (on_white - on_black) / np.maximum(nothing, 1), 0, 1)
    x, y = at
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, WIDTH), min(y + side, HEIGHT)
    part = slice(top - y, bottom - y), slice(left - x, right - x)
    region = picture[top:bottom, left:right]
    picture[top:bottom, left:right] = np.rint(on_black[part] + (1 - alpha[part]) * region)
    spacing = person.looks.eye_spacing
    eyes = views[0].project(np.array([[-spacing, -0.12], [spacing, -0.12]]), np.zeros(2), side) + at
    (fx, fy), (gx, _) = FRAME
    length = float(np.hypot(*(eyes[1] - eyes[0]))) / (gx - fx)
    across = (eyes[1] - eyes[0]) / np.hypot(*(eyes[1] - eyes[0]))
    down = np.array([-across[1], across[0]])
    middle = eyes.mean(axis=0) + length * ((0.5 - (fx + gx) / 2) * across + (0.5 - fy) * down)
    return Truth((middle[0] - length / 2, middle[1] - length / 2, length, length), eyes)


def scenes(seed: int, n: int, kind: str) -> list[tuple[np.ndarray, list[Truth]]]:
    """Return pictures with their truth; `kind` is a row of the table."""
    people = generate_faces(60, 1, seed=seed).source.people  # type: ignore[attr-defined]
    found = []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        picture = background(rng)
        truths = []
        if kind == "three faces":
            for k in range(3):
                side = int(rng.integers(110, 200))
                at = int(k * 213 + rng.integers(0, 213 - side + 1)), int(rng.integers(0, HEIGHT - side))
                truths.append(paste(picture, rng, people[int(rng.integers(60))], side, rng.normal(0, 0.07), at))
        elif kind != "no face":
            side = int(
                {"face of 24 px": 53, "face of 32 px": 71, "face of 48 px": 107}.get(kind, rng.integers(140, 420))
            )
            turn = float(kind.split()[1]) if kind.startswith("turned") else 0.0
            roll = float(np.radians(turn) * rng.choice((-1, 1)) if turn else rng.normal(0, 0.07))
            at = int(rng.integers(0, WIDTH - side)), int(rng.integers(0, HEIGHT - side))
            if kind.startswith("cut off"):
                share = float(kind.split()[2]) / 100
                at = round(-side * (0.18 + 0.66 * share)), at[1]  # its box begins 0.18 of the head's side further right
            truths.append(paste(picture, rng, people[int(rng.integers(60))], side, roll, at))
        found.append((picture, truths))
    return found


KINDS = (
    "one face", "three faces", "face of 24 px", "face of 32 px", "face of 48 px", "turned 15", "turned 30", "turned 45",
    "cut off 10 %", "cut off 25 %", "cut off 50 %", "no face",
)  # fmt: skip


def by_skin(
    pictures: list[tuple[np.ndarray, list[Truth]]],
) -> dict[str, list[tuple[np.ndarray, list[Truth]]]]:
    """Divide pictures of one face into the darker and the lighter half of the faces, by mean grey within their box."""

    def grey(picture: np.ndarray, box: tuple[float, float, float, float]) -> float:
        x, y, width, height = (max(round(value), 0) for value in box)
        return float(cv2.cvtColor(picture[y : y + height, x : x + width], cv2.COLOR_RGB2GRAY).mean())

    values = np.array([grey(picture, truths[0].box) for picture, truths in pictures])
    dark = values < np.median(values)
    return {
        "one face, the darker half": [one for one, below in zip(pictures, dark, strict=True) if below],
        "one face, the lighter half": [one for one, below in zip(pictures, dark, strict=True) if not below],
    }


def judge(pictures: list[tuple[np.ndarray, list[Truth]]], detector: Callable[[np.ndarray], Any]) -> dict[str, float]:
    """Return recall, precision, wrong boxes a picture, share with eyes, and their error."""
    hits = faces = boxes = with_eyes = 0
    errors = []
    for picture, truths in pictures:
        found = list(detector(picture))
        boxes += len(found)
        faces += len(truths)
        for truth in truths:
            best = max(found, key=lambda face: iou(face.box, truth.box), default=None)
            if best is None or iou(best.box, truth.box) < 0.4:
                continue
            hits += 1
            found.remove(best)
            if best.eyes is not None:
                with_eyes += 1
                apart = np.hypot(*(truth.eyes[1] - truth.eyes[0]))
                errors += (np.hypot(*(np.array(best.eyes) - truth.eyes).T) / apart).tolist()
    return {
        "recall": hits / faces if faces else np.nan,
        "precision": hits / boxes if boxes and faces else np.nan,
        "wrong": (boxes - hits) / len(pictures),
        "eyes": with_eyes / hits if hits else np.nan,
        "error": float(np.median(errors)) if errors else np.nan,
        "error 95": float(np.quantile(errors, 0.95)) if errors else np.nan,
    }


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Share of the union that two boxes have in common."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def on_fer2013(path: Path, n: int, seed: int, detector: Callable[[np.ndarray], Any]) -> None:
    """Print the share of pictures with a face, and where the eyes are in shares of the side."""
    everything = read_faces(path)
    rows = np.sort(np.random.default_rng(seed).choice(len(everything), min(n, len(everything)), replace=False))
    found, eyes = 0, []
    for i in rows:
        pixels, _ = everything.load(int(i))
        faces = detector(pixels)
        found += bool(faces)
        if faces and faces[0].eyes is not None:
            upright = abs(faces[0].eyes[1][1] - faces[0].eyes[0][1]) < 0.15 * pixels.shape[0]
            eyes += [np.array(faces[0].eyes) / pixels.shape[0]] if upright else []
    print(
        f"\nFER-2013, {len(rows):,} pictures drawn with seed {seed}: a face in {found / len(rows):.1%}, "
        f"both eyes and nearly level in {len(eyes) / len(rows):.1%}"
    )
    mean, spread = np.mean(eyes, axis=0), np.std(eyes, axis=0)
    for name, (x, y), (sx, sy) in zip(("left eye", "right eye"), mean, spread, strict=True):
        print(f"  {name}: x {x:.3f} (standard deviation {sx:.3f}), y {y:.3f} ({sy:.3f})")


def on_photographs(detector: Callable[[np.ndarray], Any], seed: int, parts: int = 40) -> None:
    """Print how many faces are found in photographs that installed packages ship, and in parts of those without."""
    folders = (
        Path(matplotlib.__file__).parent / "mpl-data" / "sample_data",
        Path(sklearn.__file__).parent / "datasets" / "images",
    )
    wrong: list[int] = []
    print("\n| photograph | faces | found | with eyes |\n|---|---:|---:|---:|")
    for name, truth in PHOTOGRAPHS.items():
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is not None:
            pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            found = detector(pixels)
            print(f"| {name} | {truth} | {len(found)} | {sum(face.eyes is not None for face in found)} |")
            if not truth:
                wrong += [len(detector(part)) for part in random_parts(pixels, parts, seed)]
    print(f"\n{len(wrong)} random parts of the photographs without faces: {np.mean(wrong):.2f} wrong boxes a part")


def random_parts(pixels: np.ndarray, n: int, seed: int) -> list[np.ndarray]:
    """Return squares of 100 to 300 pixels, of anywhere in a picture."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        side = int(rng.integers(100, 301))
        x, y = int(rng.integers(pixels.shape[1] - side + 1)), int(rng.integers(pixels.shape[0] - side + 1))
        found.append(pixels[y : y + side, x : x + side])
    return found


def write_pictures(folder: Path, detector: Callable[[np.ndarray], tuple[Face, ...]]) -> None:
    """Write one picture: scenes with boxes and eyes, and below them the aligned faces."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = []
    for kind in ("one face", "three faces", "turned 30", "cut off 10 %"):
        picture, _ = scenes(5, 3, kind)[2]
        shown = picture.copy()
        faces = detector(picture)
        strip = np.full((160, WIDTH, 3), 255, np.uint8)
        for k, face in enumerate(faces[:4]):
            x, y, width, height = (round(value) for value in face.box)
            cv2.rectangle(shown, (x, y), (x + width, y + height), (255, 255, 255), 3)
            for u, v in face.eyes or ():
                cv2.circle(shown, (round(u), round(v)), 5, (0, 255, 0), -1, cv2.LINE_AA)
            strip[8:152, 8 + 156 * k : 152 + 156 * k] = align(picture, face, 144)
        columns.append(np.vstack([shown, strip]))
    sheet = cv2.resize(np.hstack(columns), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "faces_scenes.jpg"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _row(name: str, found: dict[str, float]) -> str:
    """Return a row of the table."""
    digits = {"recall": 0, "precision": 0, "wrong": 2, "eyes": 0, "error": 1, "error 95": 1}
    cells = [
        "" if np.isnan(found[key]) else f"{found[key]:.2f}" if key == "wrong" else f"{100 * found[key]:.{k}f} %"
        for key, k in digits.items()
    ]
    return f"| {name} | {' | '.join(cells)} |"


def seed_for_judging(context: click.Context, option: click.Parameter, seed: int) -> int:
    """Refuse the seeds that the detector was tuned on."""
    if seed in (0, 1):
        msg = "The detector was tuned on seeds 0 and 1: give another one."
        raise click.BadParameter(msg)
    return seed


@click.command()
@click.option("--detector", default="haar", show_default=True, help="haar, or yunet=PATH.")
@click.option("--scenes", "n", default=30, show_default=True, help="Pictures of each kind; 0 draws none.")
@click.option("--seed", default=2, show_default=True, callback=seed_for_judging)
@click.option("--fer2013", type=click.Path(path_type=Path, exists=True), help="FER-2013, for its own paragraph.")
@click.option("--fer-faces", default=2000, show_default=True, help="Pictures of FER-2013.")
@click.option(
    "--pictures", type=click.Path(path_type=Path), help="Write the picture of docs/faces.md, and nothing else."
)
def main(detector: str, n: int, seed: int, fer2013: Path | None, fer_faces: int, pictures: Path | None) -> None:
    """Print the tables."""
    cv2.setNumThreads(1)
    find = get_detector(detector)
    if pictures is not None:
        write_pictures(pictures, find)
        return
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"detector {find.describe()}\n{n} scenes of each kind, seed {seed}\n")
    print("| scene | recall | precision | wrong boxes a picture | with eyes | eye error, median | 95 % |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind in KINDS if n else ():
        pictures_of = {kind: scenes(seed, n, kind)}
        if kind == "one face":
            pictures_of |= by_skin(pictures_of[kind])
        for name, drawn in pictures_of.items():
            print(_row(name, judge(drawn, find)), flush=True)
    if fer2013 is not None:
        on_fer2013(fer2013, fer_faces, seed, find)
    on_photographs(find, seed)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.accuracy.near_copies DATA``: how many near copies the audit finds, and how many it invents.

Recall: of a split of DATA, faces are drawn that have no copies among its others; one changed copy of each is planted,
and the audit must put both into one group. The changes of the first table are those that the audit was tuned on, those
of the second are others. Precision: takes of generated people are look-alikes and no copies; and ``--sheet`` draws
pairs of DATA that the audit calls near copies, for eyes to judge.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.speed._timing import machine
from fusionfer.audit import Audit, audit
from fusionfer.images import FaceSet, generate_faces, read_faces
from fusionfer.report import faces_figure, png_bytes

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Pixels:
    """A source whose keys are pictures."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.pictures = pictures

    def read(self, key: int) -> np.ndarray:
        """Return one."""
        return self.pictures[key]


def moved(image: np.ndarray, x: float = 0, y: float = 0, scale: float = 1, turn: float = 0) -> np.ndarray:
    """Shift by x and y values, scale, and turn by degrees about the centre; edges are continued."""
    h, w = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), turn, scale)
    matrix[:, 2] += x, y
    return cv2.warpAffine(image, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def resized(image: np.ndarray, *sides: int, how: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Resize to each side in turn, and back."""
    for side in (*sides, image.shape[0]):
        image = cv2.resize(image, (side, side), interpolation=how)
    return image


def stored(image: np.ndarray, kind: str, quality: int) -> np.ndarray:
    """Store and read again."""
    flag = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}[kind]
    return cv2.imdecode(cv2.imencode(kind, image, [flag, quality])[1], cv2.IMREAD_UNCHANGED)


def clipped(values: np.ndarray) -> np.ndarray:
    """Round to 0..255."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def cropped(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Cut `share` of each side off, anywhere, and enlarge the rest."""
    side = image.shape[0]
    kept = round(side * (1 - share))
    x, y = rng.integers(0, side - kept + 1, 2)
    return cv2.resize(image[y : y + kept, x : x + kept], (side, side), interpolation=cv2.INTER_LANCZOS4)


def marked(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Write over it, half transparent."""
    layer = image.copy()
    cv2.putText(layer, "stock", (2, int(rng.integers(14, 46))), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    return cv2.addWeighted(layer, 0.6, image, 0.4, 0)


TUNED: dict[str, Change] = {
    "shift by 2 and -2 of 48": lambda p, r: moved(p, 2, -2),
    "shift by 4 and 4": lambda p, r: moved(p, 4, 4),
    "scale 1.12": lambda p, r: moved(p, scale=1.12),
    "scale 0.9": lambda p, r: moved(p, scale=0.9),
    "halved and enlarged": lambda p, r: resized(p, 24, how=cv2.INTER_AREA),
    "JPEG, quality 20": lambda p, r: stored(p, ".jpg", 20),
    "brightness": lambda p, r: clipped(p * 0.7 + 30.0),
    "contrast 1.5": lambda p, r: clipped((p - 128.0) * 1.5 + 128.0),
    "mirrored": lambda p, r: p[:, ::-1],
    "shift, scale, contrast, JPEG": lambda p, r: stored(clipped(moved(p, 2, 2, 1.08) * 0.8 + 20.0), ".jpg", 50),
}
OTHER: dict[str, Change] = {
    "gamma 0.5": lambda p, r: clipped(255 * (p / 255.0) ** 0.5),
    "gamma 2": lambda p, r: clipped(255 * (p / 255.0) ** 2.0),
    "blur, sigma 1.2": lambda p, r: cv2.GaussianBlur(p, (0, 0), 1.2),
    "noise, sigma 10": lambda p, r: clipped(p + r.normal(0, 10, p.shape)),
    "WebP, quality 10": lambda p, r: stored(p, ".webp", 10)[..., 0],
    "turned by 3 degrees": lambda p, r: moved(p, turn=3.0 * r.choice([-1, 1])),
    "turned by 8 degrees": lambda p, r: moved(p, turn=8.0 * r.choice([-1, 1])),
    "crop of 10 %": lambda p, r: cropped(p, 0.1, r),
    "crop of 20 %": lambda p, r: cropped(p, 0.2, r),
    "crop of 30 %": lambda p, r: cropped(p, 0.3, r),
    "48 to 37 to 61 to 48": lambda p, r: resized(p, 37, 61),
    "wider by 10 %": lambda p, r: cv2.resize(p, (53, 48))[:, 2:50],
    "histogram equalised": lambda p, r: cv2.equalizeHist(p),
    "written over": marked,
    "mirrored, crop of 10 %, gamma 1.5, WebP": lambda p, r: stored(
        clipped(255 * (cropped(p[:, ::-1], 0.1, r) / 255.0) ** 1.5), ".webp", 40
    )[..., 0],
    "a quarter covered": lambda p, r: np.where(np.add.outer(np.arange(48) > 23, np.arange(48) > 23) == 2, 0, p),
}


def groups_of(found: Audit) -> dict[str, int]:
    """Number of the group of each id that has copies."""
    return {one: number for number, group in enumerate((*found.near, *found.copies)) for one in group.ids}


def print_recall(pictures: list[np.ndarray], changes: dict[str, Change], each: int, rng: np.random.Generator) -> None:
    """Plant `each` copies of every change among the pictures, and print how many are found."""
    n = len(pictures)
    plan = [(name, change) for name, change in changes.items() for _ in range(each)]
    originals = rng.permutation(n)[: len(plan)]
    planted = [
        np.ascontiguousarray(change(pictures[i], rng), dtype=np.uint8)
        for i, (_, change) in zip(originals.tolist(), plan, strict=True)
    ]
    ids = [*(str(i) for i in range(n)), *(f"copy {k}" for k in range(len(planted)))]
    group = groups_of(audit(FaceSet(ids, range(len(ids)), Pixels([*pictures, *planted]))))
    print("| change | planted | found, % |\n|---|---:|---:|")
    hits = dict.fromkeys(changes, 0)
    for k, (i, (name, _)) in enumerate(zip(originals.tolist(), plan, strict=True)):
        hits[name] += group.get(f"copy {k}", -1) == group.get(str(i), -2)
    for name, found in hits.items():
        print(f"| {name} | {each} | {100 * found / each:.1f} |")
    print(f"| all | {len(plan)} | {100 * sum(hits.values()) / len(plan):.1f} |\n", flush=True)


def print_look_alikes(people: int, seed: int) -> None:
    """Print how many takes of generated people are called copies."""
    faces = generate_faces(people, takes=2, seed=seed, size=48)
    found = audit(faces)
    wrong = sum(len(one.ids) for one in (*found.near, *found.copies))
    print(f"Generated: {people} people, {len(faces):,} pictures, two takes of each emotion, none a copy of another.")
    print(f"Called copies: {wrong} pictures in {len(found.near)} groups.\n", flush=True)


def draw_pairs(path: Path, faces: FaceSet, found: Audit, n: int, rng: np.random.Generator) -> None:
    """Draw n groups of near copies, two members of each that are not equal, taken at random."""
    place = {str(one): i for i, one in enumerate(faces.ids.tolist())}
    pixels, captions = [], []
    for number in rng.permutation(len(found.near))[:n].tolist():
        a, *others = (faces.load(place[one])[0] for one in rng.permutation(found.near[number].ids).tolist())
        b = next(one for one in others if not np.array_equal(a, one))
        pixels += [a, b]
        captions += [f"{number}", ", ".join(found.near[number].changes)]
    path.write_bytes(png_bytes(faces_figure(pixels, captions, 12)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.near_copies", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--each", type=int, default=150, help="copies of each change")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--sheet", type=Path, help="draw pairs of all of DATA that are called near copies")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    every = read_faces(options.data)
    faces = every.take(every.splits == options.split)
    known = groups_of(audit(faces))
    pictures = [faces.load(i)[0] for i, one in enumerate(faces.ids.tolist()) if one not in known]
    print(f"{len(pictures):,} of {len(faces):,} faces of {options.split} have no copies among them.\n")
    for title, changes in (("Tuned on:", TUNED), ("Not tuned on:", OTHER)):
        print(f"{title}\n")
        print_recall(pictures, changes, options.each, rng)
    print_look_alikes(options.people, options.seed)
    if options.sheet:
        begin = time.perf_counter()
        found = audit(every)
        print(
            f"All {len(every):,} faces: {len(found.near):,} groups of near copies, {time.perf_counter() - begin:.0f} s."
        )
        draw_pairs(options.sheet, every, found, options.pairs, rng)


if __name__ == "__main__":
    main()

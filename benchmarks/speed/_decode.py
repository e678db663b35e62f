"""One picture from its file to its place in the batch, against Pillow with torchvision's transforms."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.speed._pictures import pictures
from benchmarks.speed._timing import Report, alternate, ratio, seconds
from fusionfer.backbones import Preprocess
from fusionfer.images import decode_image
from fusionfer.networks import import_torchvision

__all__ = ["run"]

BATCH = 32

Transform = Callable[[Image.Image], torch.Tensor]


def run(rounds: int, n: int = 256) -> Iterator[Report]:
    """Decode grey JPEGs of 48 pixels, and write them normalised into a batch at 224 and at 48 pixels."""
    chosen, what = pictures(n)
    files = [_grey_jpeg(chosen.load(i)[0]) for i in range(n)]
    for size in (224, 48):
        ours, theirs = np.zeros((BATCH, 3, size, size), np.float32), torch.zeros(BATCH, 3, size, size)
        preprocess = Preprocess(size)
        transform = _transform(preprocess)

        def library(preprocess: Preprocess = preprocess, out: np.ndarray = ours) -> None:
            for i, stored in enumerate(files):
                preprocess.into(decode_image(stored), out[i % BATCH])

        def pillow(transform: Transform = transform, out: torch.Tensor = theirs) -> None:
            for i, stored in enumerate(files):
                out[i % BATCH] = transform(Image.open(io.BytesIO(stored)).convert("RGB"))

        with _one_thread():
            # The time of this thread alone, so that others on the machine do not count.
            taken = alternate({"library": library, "pillow": pillow}, rounds, timer=time.thread_time)
        off = float(np.abs(ours - theirs.numpy()).max())
        if off > 0.1:  # 0.02 is one grey level of 256
            msg = f"The two ways give different tensors (by {off:.2f})."
            raise RuntimeError(msg)
        yield Report(
            "decode",
            f"{n} {what} as grey JPEGs of 48 pixels into a batch at {size} pixels, one thread each, {rounds} rounds",
            (
                ratio("cheaper than Pillow and torchvision", taken["pillow"], taken["library"], target=5.0),
                seconds("decode_image and Preprocess.into, per picture", taken["library"], per=n, unit="ms"),
                seconds("Pillow and torchvision's transforms, per picture", taken["pillow"], per=n, unit="ms"),
            ),
        )


def _grey_jpeg(pixels: np.ndarray) -> bytes:
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return cv2.imencode(".jpg", grey)[1].tobytes()


def _transform(preprocess: Preprocess) -> Transform:
    import_torchvision()
    from torchvision import transforms

    size = (preprocess.size, preprocess.size)
    return transforms.Compose(
        [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize(preprocess.mean, preprocess.std)]
    )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])

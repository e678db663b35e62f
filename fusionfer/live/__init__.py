"""Expressions from a camera, a video or a folder of frames: faces followed over time, probabilities smoothed."""

from fusionfer.live._live import live
from fusionfer.live._preparing import prepare_for
from fusionfer.live._reading import Finder, Judge, Reading
from fusionfer.live._report import LiveReport
from fusionfer.live._smoothing import Smoothing
from fusionfer.live._sources import CameraSource, Frame, ImagesSource, Source, VideoSource
from fusionfer.live._tracking import Track, Tracker

__all__ = [
    "CameraSource",
    "Finder",
    "Frame",
    "ImagesSource",
    "Judge",
    "LiveReport",
    "Reading",
    "Smoothing",
    "Source",
    "Track",
    "Tracker",
    "VideoSource",
    "live",
    "prepare_for",
]

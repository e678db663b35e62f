"""Scenes whose truth is known: drawn heads in grey surroundings."""

import cv2
import numpy as np
import pytest

from fusionfer.images._canvas import View
from fusionfer.images._drawing import Actions, Looks, draw_face


@pytest.fixture(scope="session")
def head():
    """Return a function that draws a head of 160 pixels into a picture of 320; with it come the eyes' true places."""

    def draw(roll=0.0, at=(80, 80), side=160, size=(320, 320), colour=True):
        view = View(zoom=1.0, roll=roll, light=0.2, background=(150, 150, 150))
        looks = Looks()
        face = draw_face(looks, Actions(lip_corner_up=0.8), view, size=side)
        x, y = at
        reach = cv2.copyMakeBorder(face, side, side, side, side, cv2.BORDER_REPLICATE)
        canvas = np.full((size[1], size[0], 3), 150, np.uint8)
        top, left = max(y - side, 0), max(x - side, 0)
        part = reach[top - y + side :, left - x + side :][: size[1] - top, : size[0] - left]
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        points = np.array([[-looks.eye_spacing, -0.12], [looks.eye_spacing, -0.12]])
        eyes = view.project(points, np.zeros(2), side) + np.array([x, y])
        return (canvas if colour else cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)), eyes

    return draw

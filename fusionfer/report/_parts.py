"""What a report is made of: sections of sentences, commands, tables, figures and sheets of faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfer.report._tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Code", "Picture", "Section", "Sheet"]


class Code(NamedTuple):
    """Lines for a terminal, shown as they are.

    Attributes
    ----------
    text : str
    """

    text: str


class Picture(NamedTuple):
    """A figure of a report.

    Attributes
    ----------
    name : str
        Of its file, without ending: letters, digits, ``_`` and ``-``.
    caption : str
        One sentence on what it shows.
    figure : matplotlib.figure.Figure
    says : str
        What it tells those who cannot see it; the caption where it is empty.
    """

    name: str
    caption: str
    figure: Figure
    says: str = ""


class Sheet(NamedTuple):
    """Faces side by side, each with a line of its own.

    Attributes
    ----------
    name : str
        Of its file, as for `Picture`.
    caption : str
        One sentence on what they have in common.
    pixels : sequence of ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey, or RGB; sizes may differ, large ones are shown smaller.
    captions : sequence of str
        One for each face; lines are separated by line breaks.
    """

    name: str
    caption: str
    pixels: Sequence[np.ndarray]
    captions: Sequence[str]


class Section(NamedTuple):
    """A heading and what stands under it.

    Attributes
    ----------
    title : str
    items : tuple of str, Code, Table, Picture or Sheet
        In the order in which they are shown; strings are paragraphs. Tables without rows are left out.
    """

    title: str
    items: tuple[str | Code | Table | Picture | Sheet, ...]

"""Probabilities over time: what a face expressed a moment ago still counts, so that labels do not flicker."""

from __future__ import annotations

import math

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["Smoothing"]


class Smoothing:
    """Exponential smoothing of probabilities with a time constant, for frames at any distance in time.

    ``s <- s + (1 - exp(-dt / seconds)) (p - s)``, where ``dt`` is the time since the last probabilities: the step
    response of a first-order low-pass filter, which is exponential smoothing for observations at irregular times
    [1]_. A change of expression has reached 63 % of its weight after `seconds`.

    Parameters
    ----------
    seconds : float
        Time constant, at least 0; with 0 nothing is smoothed.

    Raises
    ------
    DataError
        If `seconds` is below 0 or no number.

    References
    ----------
    .. [1] D. J. Wright, "Forecasting data published at irregular time intervals using an extension of Holt's method",
       Management Science 32(4), 1986, pp. 499-510.

    Examples
    --------
    >>> import numpy as np
    >>> smoothing = Smoothing(0.5)
    >>> smoothing(np.array([1.0, 0.0]), 0.0)
    array([1., 0.])
    >>> smoothing(np.array([0.0, 1.0]), 0.5).round(3)
    array([0.368, 0.632])
    """

    def __init__(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0):
            msg = f"smooth must be a time in seconds from 0 (no smoothing), got {seconds!r}."
            raise DataError(msg)
        self.seconds = float(seconds)
        self._state: np.ndarray | None = None
        self._time = 0.0

    def __call__(self, proba: np.ndarray, time: float) -> np.ndarray:
        """Return the smoothed probabilities.

        Parameters
        ----------
        proba : ndarray of float, shape (K,)
        time : float
            In seconds; what comes with an earlier time than the one before counts as new, without a past.

        Returns
        -------
        ndarray of float, shape (K,)
            They sum to what `proba` sums to, if all before did.
        """
        if self._state is None or self.seconds == 0 or time < self._time:
            self._state = np.array(proba, float)
        else:
            weight = -math.expm1(-(time - self._time) / self.seconds)
            self._state = self._state + weight * (proba - self._state)
        self._time = time
        return self._state

"""Two pictures laid on each other as well as they can be: moved, turned, scaled, brightened."""

from __future__ import annotations

import numpy as np

__all__ = ["align", "compare", "levels", "shrunk"]

_SURROUNDINGS = 1 / 16  # of the side: standard deviation of what is taken off from details
_PLACE = 3 / 32  # of the side: standard deviation of a place
_TELLS = 0.3  # a place tells nothing if either picture has fewer details there, in shares of their mean
_RIDGE = 1e-4  # of the diagonal of the normal equations: a flat picture moves nowhere


def align(fixed: np.ndarray, moved: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """Find for each pair the similarity transform under which `moved` shows `fixed`.

    Gauss-Newton steps, in which brightness and contrast are solved for together with the
    transform, so that neither disturbs it.

    Parameters
    ----------
    fixed, moved : ndarray of float32, shape (n, side, side)
    start : ndarray of float64, shape (n, 4)
        ``(a, b, x, y)``: the point (u, v) of `fixed`, both in [-1, 1], lies at (a u - b v + x, b u + a v + y) of
        `moved`.
    steps : int

    Returns
    -------
    ndarray of float64, shape (n, 4)

    References
    ----------
    B. D. Lucas, T. Kanade: "An Iterative Image Registration Technique with an Application to Stereo Vision",
    IJCAI 1981; brightness and contrast as linear changes of appearance: S. Baker, R. Gross, I. Matthews:
    "Lucas-Kanade 20 Years On: Part 3", CMU-RI-TR-03-35, 2003.
    """
    found = np.array(start, dtype=np.float64)
    side = fixed.shape[-1]
    u, v = (axis.ravel().astype(np.float32) for axis in _grid(side))
    target = fixed.reshape(len(fixed), side * side)
    gradient = np.stack(np.gradient(moved, 2.0 / side, axis=(2, 1)), axis=1).astype(np.float32)
    planes = np.concatenate([moved[:, None], gradient], axis=1)
    for _ in range(steps):
        (w, gx, gy), inside = _sampled(planes, found)
        columns = np.stack([u * gx + v * gy, u * gy - v * gx, gx, gy, w, np.ones_like(w)], axis=1) * inside[:, None]
        products = (columns @ columns.transpose(0, 2, 1)).astype(np.float64)
        diagonal = np.einsum("nii->ni", products)
        diagonal += _RIDGE * diagonal + 1e-6
        answers = (columns @ target[:, :, None]).astype(np.float64)
        solved = np.linalg.solve(products, answers)[:, :, 0]
        contrast = np.where(np.abs(solved[:, 4]) > 0.1, solved[:, 4], 0.1)
        found += np.clip(solved[:, :4] / contrast[:, None], -0.15, 0.15)
    return found


def compare(fixed: np.ndarray, moved: np.ndarray, transform: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say how alike the details of aligned pairs are, where they overlap.

    Details are what is left when the mean of the surroundings is taken off: without that, any two faces that are lit
    from one side would be alike.

    Parameters
    ----------
    fixed, moved : ndarray of float32, shape (n, side, side)
    transform : ndarray of float64, shape (n, 4)
        As `align` returns it.

    Returns
    -------
    alike : ndarray of float32, shape (n,)
        Correlation of the details, in [-1, 1].
    worst : ndarray of float32, shape (n,)
        The same in the place where it is least, of those where both pictures have details: another mouth in the same
        face is another picture, though most of it is equal. At most 1.
    overlap : ndarray of float32, shape (n,)
        Share of `fixed` that `moved` covers, in [0, 1].
    """
    n, side, _ = fixed.shape
    (values,), inside = _sampled(moved[:, None], transform)
    inside = inside.reshape(n, side, side)
    blur = _blur(side)
    weight = np.maximum(blur @ inside @ blur, 1e-3)

    def details(pictures: np.ndarray) -> np.ndarray:
        return np.asarray((pictures - blur @ (pictures * inside) @ blur / weight) * inside)

    a, b = details(fixed), details(values.reshape(n, side, side))
    products = [a * b, a * a, b * b]
    ab, aa, bb = (one.mean(axis=(1, 2)) for one in products)
    alike = ab / np.maximum(np.sqrt(aa * bb), 1e-6)
    place = _blur(side, _PLACE)
    near_ab, near_aa, near_bb = (place @ one @ place for one in products)
    told = place @ inside @ place > 0.9 * np.outer(place.sum(axis=0), place.sum(axis=0))
    told &= (near_aa > _TELLS * aa[:, None, None]) & (near_bb > _TELLS * bb[:, None, None])
    worst = np.where(told, near_ab / np.maximum(np.sqrt(near_aa * near_bb), 1e-6), 1.0).min(axis=(1, 2))
    return alike, worst, inside.mean(axis=(1, 2))


def levels(
    fixed: np.ndarray, moved: np.ndarray, transform: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation of `fixed`, and of `moved`, where they overlap; parameters as of `compare`."""
    (values,), inside = _sampled(moved[:, None], transform)
    count = np.maximum(inside.sum(axis=1), 1.0)

    def of(one: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (one * inside).sum(axis=1) / count
        return mean, np.sqrt((((one - mean[:, None]) * inside) ** 2).sum(axis=1) / count)

    return of(fixed.reshape(values.shape)), of(values)


def shrunk(pictures: np.ndarray) -> np.ndarray:
    """Pictures of half the side: the mean of each two by two values."""
    n, side, _ = pictures.shape
    return pictures.reshape(n, side // 2, 2, side // 2, 2).mean(axis=(2, 4), dtype=np.float32)


def _blur(side: int, width: float = _SURROUNDINGS) -> np.ndarray:
    """Matrix (side, side) that blurs rows of values over `width` of the side; it is symmetric."""
    places = np.arange(side) / (side * width)
    weights = np.exp(-0.5 * (places[:, None] - places) ** 2)
    return (weights / weights[side // 2].sum()).astype(np.float32)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the values of a picture, in [-1, 1]: to the right, and down."""
    at = (np.arange(side) + 0.5) * 2.0 / side - 1.0
    u, v = np.meshgrid(at, at)
    return u, v


def _sampled(planes: np.ndarray, transform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes (n, k, side, side) at the transformed places: (k, n, side * side), and 1 where these lie inside."""
    n, k, side, _ = planes.shape
    u, v = (axis.ravel() for axis in _grid(side))
    a, b, x, y = (transform[:, [i]] for i in range(4))
    across = ((a * u - b * v + x + 1.0) * side / 2.0 - 0.5).astype(np.float32)
    down = ((b * u + a * v + y + 1.0) * side / 2.0 - 0.5).astype(np.float32)
    inside = ((across >= -0.5) & (across <= side - 0.5) & (down >= -0.5) & (down <= side - 0.5)).astype(np.float32)
    across, down = np.clip(across, 0, side - 1.001), np.clip(down, 0, side - 1.001)
    left, top = across.astype(np.intp), down.astype(np.intp)
    right_share, down_share = across - left, down - top
    flat = planes.transpose(1, 0, 2, 3).reshape(k, n * side * side)
    first = top * side + left + (np.arange(n) * side * side)[:, None]
    upper = flat[:, first] * (1 - right_share) + flat[:, first + 1] * right_share
    lower = flat[:, first + side] * (1 - right_share) + flat[:, first + side + 1] * right_share
    return upper * (1 - down_share) + lower * down_share, inside

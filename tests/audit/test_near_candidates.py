"""Candidates: copies are among them, each pair once, in memory that grows with the number of pictures."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fusionfer.audit import _near_candidates
from fusionfer.audit._near_candidates import find_candidates


def pictures(n, seed=0):
    noise = np.random.default_rng(seed).normal(size=(n, 32, 32))
    smooth = gaussian_filter(noise, (0, 2.5, 2.5))
    return np.clip(128 + 300 * smooth, 0, 255).astype(np.uint8)


def found(some):
    """Pairs as a dict: (first, second) to mirrored."""
    one = find_candidates(some)
    return dict(zip(zip(one.first.tolist(), one.second.tolist(), strict=True), one.mirrored.tolist(), strict=True))


def test_changed_copies_are_candidates():
    """Of 300 pictures and three changed ones: the shifted, the darker and the mirrored one are paired with theirs."""
    base = pictures(300)
    changed = np.stack([np.roll(base[5], (2, -2), (0, 1)), base[6] // 2 + 20, base[7][:, ::-1]])
    pairs = found(np.concatenate([base, changed]))
    assert (pairs[5, 300], pairs[6, 301], pairs[7, 302]) == (False, False, True)


def test_candidates_are_few_and_told_once(monkeypatch):
    """Eight for a picture among the later ones at most, the first before the second, whatever the blocks."""
    some = pictures(500)
    whole = find_candidates(some)
    pairs = list(zip(whole.first.tolist(), whole.second.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert np.all(whole.first < whole.second)
    assert np.bincount(whole.first).max() <= 8
    monkeypatch.setattr(_near_candidates, "_ROWS", 77)
    assert found(some).keys() == set(pairs)


def test_many_equal_pictures_stay_few_pairs():
    """If all are alike, eight for each are enough to link them."""
    one = find_candidates(np.repeat(pictures(1), 200, axis=0))
    assert len(one.first) <= 8 * 200
    assert set(one.first.tolist()) | set(one.second.tolist()) == set(range(200))


def test_blocks_of_columns_change_nothing(monkeypatch):
    """Compared in blocks of 100 later pictures, the same pairs by the same looks, and the same threshold."""
    some = pictures(500)
    whole = find_candidates(some)
    monkeypatch.setattr(_near_candidates, "_COLUMNS", 100)
    parts = find_candidates(some)
    for name in ("first", "second", "looks", "mirrored"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_threshold_is_that_of_all_at_once(monkeypatch):
    """In blocks of columns it is what a sort of all similarities gives, each picture's with itself left out."""
    known = _near_candidates._unit(np.random.default_rng(1).normal(size=(3000, 5)))
    alike = known @ known.T
    alike = alike[np.unique(np.linspace(0, 2999, 512).astype(int))]
    others = np.sort(alike.ravel())[:-512]  # the 512 ones that are 1
    monkeypatch.setattr(_near_candidates, "_ENOUGH", 1.0)
    monkeypatch.setattr(_near_candidates, "_COLUMNS", 700)
    assert _near_candidates._threshold(known) == pytest.approx(others[-512 * 4], abs=1e-6)


def test_some_rows_alone():
    """Of chosen rows the pairs are numbers of pictures, and those of a set that holds no others."""
    some, rows = pictures(400), np.arange(1, 400, 2)
    chosen, alone = find_candidates(some, rows), find_candidates(some[rows])
    np.testing.assert_array_equal(chosen.first, rows[alone.first])
    np.testing.assert_array_equal(chosen.second, rows[alone.second])


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n):
    """No picture, or one: no candidates."""
    one = find_candidates(pictures(n))
    assert (len(one.first), one.transforms(np.arange(0)).shape) == (0, (0, 4))


def test_two_pictures_are_a_pair():
    """The smallest set that can hold a copy: no mean, no directions to learn from."""
    base = pictures(1)[0]
    assert (0, 1) in found(np.stack([base, np.roll(base, 2, 1)]))


def test_progress_ends_at_the_end():
    """Each block of rows is told of, the last with all."""
    told = []
    find_candidates(pictures(300), progress=lambda *step: told.append(step))
    assert told == [(256, 300, "comparing"), (300, 300, "comparing")]

"""What looking at pictures takes: near FER-2013's measured figures, and growing as it must."""

import pytest

from fusionfer.costs import MARGIN, decoders, estimate_audit, estimate_eda, estimate_noise
from fusionfer.costs._machine import slowness

MB, FER = 1 << 20, 35_710


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    """As on the machine that was measured: two cores of the reference speed."""
    for room in ("_pictures", "_files"):
        monkeypatch.setattr(f"fusionfer.costs.{room}.slowness", lambda: 1.0)
        monkeypatch.setattr(f"fusionfer.costs.{room}.cores", lambda: 2)
    slowness.cache_clear()


@pytest.mark.parametrize(
    ("estimate", "megabytes", "seconds"),
    [
        (lambda: estimate_eda(FER), 65, 3.5),
        (lambda: estimate_audit(FER, near=False), 133, 4.5),
        (lambda: estimate_audit(4000), 177, 7),
        (lambda: estimate_audit(FER), 292, 69),
    ],
    ids=["eda", "exact", "near 4,000", "near"],
)
def test_fer2013_as_it_was_measured(estimate, megabytes, seconds):
    """Within 30 % of the peak and a factor of 2 of the time that `audit` and `eda` took on the real faces."""
    found = estimate()
    assert found.bytes == pytest.approx(megabytes * MB, rel=0.3)
    assert seconds / 2 < found.seconds < 2 * seconds + 3


def test_memory_grows_with_the_pictures_not_with_their_square():
    """A million pictures take some gigabytes, and less where thumbnails lie in a file."""
    audit = estimate_audit(10**6)
    assert 2 << 30 < audit.bytes < 4.5 * 2**30
    saved = audit.bytes - estimate_audit(10**6, limit=3 << 30).bytes
    assert saved == pytest.approx((1 + MARGIN) * 10**6 * 1032, abs=2)
    assert estimate_audit(2 * 10**6).bytes < 2 * audit.bytes
    assert estimate_audit(2 * 10**6).seconds > 3 * audit.seconds


def test_large_pictures_take_room_in_each_thread():
    """Twelve bytes a pixel and thread, of which there are as many as the machine has cores."""
    more = estimate_audit(100, 10**7).bytes - estimate_audit(100, 0).bytes
    assert more == pytest.approx((1 + MARGIN) * decoders() * 12 * 10**7, abs=2)


def test_what_follows_counts_where_it_is_larger():
    """Features of label noise come after the pictures: the larger of both, and the time of both."""
    plain = estimate_audit(1000)
    small, large = estimate_noise(1000, 10, 7, limit=1 << 40), estimate_noise(200_000, 2560, 7, limit=1 << 40)
    assert estimate_audit(1000, noise=small).bytes == plain.bytes
    assert estimate_audit(1000, noise=large).bytes > large.bytes
    assert estimate_audit(1000, noise=large).seconds == plain.seconds + large.seconds


def test_features_beyond_an_eighth_of_the_memory_stay_in_files():
    """Ten gigabytes of features in four gigabytes of memory."""
    rows, columns = 10**6, 2560
    assert estimate_noise(rows, columns, 7, limit=1 << 40).bytes > 4 * rows * columns
    assert dict(estimate_noise(rows, columns, 7, limit=4 << 30).parts)["features"] < 1 << 30

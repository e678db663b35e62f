"""What caches take: tables of their rows in memory, their bytes in time."""

from fusionfer.costs import estimate_merging, estimate_report, estimate_verifying

GB = 1 << 30


def test_features_take_time_and_no_memory():
    """Ten times the bytes of the same rows: the same memory, more time."""
    for estimate in (estimate_verifying, estimate_merging):
        small, large = estimate(10 * GB, 1000), estimate(100 * GB, 1000)
        assert small.bytes == large.bytes
        assert large.seconds > 5 * small.seconds
        assert estimate(GB, 10**6).bytes > large.bytes


def test_a_report_holds_features_that_fit():
    """Twice the matrix where it fits; a bounded part where it stays in files; nothing where no cache is scored."""
    rows, columns = 10**6, 2560
    held = estimate_report(rows, columns, limit=1 << 40).bytes
    mapped = estimate_report(rows, columns, limit=4 * GB).bytes
    assert held - mapped > 15 * GB
    assert estimate_report(0, 0, limit=4 * GB).bytes < GB // 2

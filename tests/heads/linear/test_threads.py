"""Work in threads."""

import pytest

from fusionfer.heads.linear._threads import for_each


@pytest.mark.parametrize("count", [0, 3, 50])
def test_everyone_is_served_once(count):
    """Few or many: each number comes once."""
    seen = []
    for_each(count, seen.append)
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("count", [3, 50])
def test_errors_come_through(count):
    """What goes wrong in a thread is raised."""
    with pytest.raises(ZeroDivisionError):
        for_each(count, lambda i: 1 // (i - 2))

"""Parts and the margin above them."""

from fusionfer.costs import MARGIN, summed


def test_the_margin_is_put_on_top_once():
    """Of an estimate that is made of another, too; what is known needs none."""
    one = summed("look", [("pictures", 8000), ("programs", 2000), ("nothing", 0)], 1.0)
    assert one.bytes == 10_000 * (1 + MARGIN)
    assert dict(one.parts) == {"pictures": 8000, "programs": 2000, "margin": 10_000 * MARGIN}
    more = summed("look twice", [*one.parts, ("tables", 10_000)], 2.0, known=10_000)
    assert more.bytes == 20_000 + 10_000 * MARGIN

"""What a file is said to hold is what was put into it."""

from fusionfer.cache import describe


def test_describe(cache, toolkit):
    """It says what there is, also of a part."""
    rows = toolkit.rows([f"{i}.png" for i in range(10)], splits=["train"] * 6 + ["test"] * 4)
    job = toolkit.extract(cache, rows, blocks=2, bad=("1.png",), record={"weights": {"name": "imagenet"}})
    found = describe(job.part)
    assert (found.block, found.dim, found.block_rows) == ("resnet34:logits", 5, 4)
    assert (found.rows, found.done, found.failed, found.absent) == (10, 7, 1, 2)
    assert (found.complete, found.intact) == (False, True)
    assert found.failures == {"1.png": "no image: 1.png"}
    assert found.labels == {"happy": 10}
    assert found.splits == {"test": 4, "train": 6}
    assert found.record == {"weights": {"name": "imagenet"}}
    assert found.key == {"size": 48, "backbone": "resnet34", "level": "logits", "dim": 5}
    assert found.bytes == job.part.stat().st_size
    assert describe(toolkit.extract(cache, rows).path).complete

"""What networks take: from the table, growing with what is asked for."""

import math

import pytest

from fusionfer.costs import (
    MARGIN,
    NETWORKS,
    estimate_explaining,
    estimate_exporting,
    estimate_extraction,
    estimate_prediction,
    estimate_scoring,
    estimate_training,
    fitting_batch,
    most_pictures,
    network_costs,
    workers_for,
)

BOTH = [("resnet34", 224), ("resnet50", 224)]
FER, MB = 35_710, 1 << 20


def test_networks_are_found_by_what_they_are_made_of():
    """Itself, its backbone, or what is usual."""
    assert network_costs("resnet34") is NETWORKS["resnet34"]
    assert network_costs("densenet121-gru") is NETWORKS["densenet121"]
    assert network_costs("resnet50v2") is NETWORKS["resnet50"]
    assert network_costs("timm:vit_tiny") is NETWORKS["resnet50"]


def test_workers_are_as_many_as_there_is_work_for():
    """Threads, batches, or eight."""
    assert [workers_for(100, 2), workers_for(1, 4), workers_for(100, 64), workers_for(0, 4)] == [2, 1, 8, 1]


def test_extraction_grows_with_what_is_asked_for():
    """Batch size and workers take memory, not time; pictures time and little memory; pixels both."""
    one = estimate_extraction(FER, BOTH, threads=2)
    larger = estimate_extraction(FER, BOTH, batch_size=64, threads=2)
    assert larger.bytes > one.bytes
    assert larger.seconds == pytest.approx(one.seconds)
    more = estimate_extraction(2 * FER, BOTH, threads=2)
    assert more.bytes - one.bytes == pytest.approx((1 + MARGIN) * FER * 900, abs=2)
    assert more.seconds > 1.8 * one.seconds
    small = estimate_extraction(FER, [(name, 48) for name, _ in BOTH], threads=2)
    assert small.bytes < one.bytes
    assert 5 * small.seconds < one.seconds
    parallel = estimate_extraction(FER, BOTH, threads=8)
    assert parallel.bytes > one.bytes
    photographs = estimate_extraction(FER, BOTH, threads=2, pixels=12_000_000)
    assert photographs.bytes - one.bytes > 2 * 5 * 12_000_000
    assert photographs.seconds > 1.5 * one.seconds


def test_a_shard_knows_all_names_and_computes_its_part():
    """Tables of the whole set, time and batches of the part."""
    whole, part = estimate_extraction(10**6, BOTH), estimate_extraction(10**5, BOTH, rows=10**6)
    assert part.bytes == whole.bytes
    assert part.seconds < 0.2 * whole.seconds


def test_a_gpu_has_the_activations_and_its_own_pace():
    """What lies on another device is not counted, and its time is not known before."""
    here, there = (estimate_extraction(FER, BOTH, on_cpu=on_cpu) for on_cpu in (True, False))
    assert there.bytes < here.bytes
    assert "activations" not in dict(there.parts)
    assert math.isnan(there.seconds)


def test_the_batch_that_fits_is_the_largest_halved():
    """It fits, twice it does not; 0 where a single picture is too much."""
    limit = 1200 << 20
    fits = fitting_batch(FER, BOTH, limit, batch_size=256, threads=2)
    sizes = [estimate_extraction(FER, BOTH, batch_size=size, threads=2).bytes for size in (fits, 2 * fits)]
    assert sizes[0] <= limit < sizes[1]
    assert fitting_batch(FER, BOTH, 64 << 20, batch_size=32) == 0


def test_prediction_holds_features_and_the_model():
    """Columns of every picture, and the head's file several times."""
    none = estimate_prediction(1000, BOTH)
    assert estimate_prediction(1000, BOTH, columns=2560).bytes - none.bytes == pytest.approx(
        (1 + MARGIN) * 12 * 1000 * 2560, abs=2
    )
    assert estimate_prediction(1000, BOTH, head=1 << 20).bytes - none.bytes == pytest.approx(
        (1 + MARGIN) * (3 << 20), abs=2
    )
    assert estimate_prediction(10, []).bytes > 0


def test_explaining_takes_a_pass_for_each_window():
    """Time grows with the windows, memory with the batch alone."""
    few, many = (estimate_explaining(10, windows, BOTH, batch_size=32) for windows in (100, 200))
    assert many.bytes == few.bytes
    assert many.seconds > 1.5 * few.seconds


def test_an_export_holds_the_file():
    """Beside the networks there are their weights as operators."""
    assert estimate_exporting(BOTH, checks=28).bytes > estimate_prediction(28, BOTH, batch_size=8).bytes


def test_training_takes_a_multiple_of_a_pass():
    """Epochs take time, optimizers one after the other; batches memory; pictures are kept up to a bound."""
    words = {"epochs": 10, "batch_size": 128, "size": 48}
    one = estimate_training(28_000, 3_500, [("resnet34", 44)], **words)
    assert estimate_training(28_000, 3_500, [("resnet34", 44)], **{**words, "epochs": 20}).seconds > 1.8 * one.seconds
    assert estimate_training(28_000, 3_500, [("resnet34", 44)], **words, optimizers=2).seconds > 1.9 * one.seconds
    assert estimate_training(28_000, 3_500, [("resnet34", 44)], **{**words, "batch_size": 256}).bytes > one.bytes
    assert estimate_training(28_000, 3_500, [("resnet34", 44)], **words, small_stem=True).seconds > 4 * one.seconds


@pytest.mark.parametrize(
    ("splits", "limit", "kept"),
    [
        ((10_000, (2_000, 3_000)), None, 15_000),
        ((10**6, (2_000, 3_000)), None, 5_000),
        ((10_000, (2_000, 3_000)), 400 << 20, 5_000),
        ((10_000, (2_000,)), 4 << 30, 12_000),
    ],
    ids=["all are kept", "one is too many", "a limit", "a wide limit"],
)
def test_every_split_keeps_its_pictures_or_none(splits, limit, kept):
    """As `fusionfer.training` does it: at most 4 GiB of each, and an eighth of what is asked for."""
    n, judged = splits
    found = estimate_training(n, judged, [("resnet34", 44)], epochs=1, batch_size=64, size=48, limit=limit)
    assert dict(found.parts)["pictures"] == kept * 3 * 48 * 48


def test_scoring_networks_keeps_pictures_and_shows_views():
    """One network after the other: the largest of what each needs, and the time of all of them and their views."""
    words = {"sizes": [48], "views": [1], "channels": 1}
    one = estimate_scoring(3_500, 0, [("resnet34", 44)], **words)
    assert dict(one.parts)["pictures"] == 3_500 * 48 * 48
    ten = estimate_scoring(3_500, 0, [("resnet34", 44)], **{**words, "views": [10]})
    assert ten.seconds > 4 * one.seconds
    assert ten.bytes > one.bytes
    two = estimate_scoring(3_500, 9_000, 2 * [("resnet34", 44)], sizes=[48, 96], views=[1, 1], channels=1)
    assert dict(two.parts)["pictures"] == 9_000 * 96 * 96
    held = estimate_scoring(
        3_500, 9_000, 2 * [("resnet34", 44)], sizes=[48, 96], views=[1, 1], channels=1, limit=256 * MB
    )
    assert dict(held.parts)["pictures"] == 9_000 * 48 * 48 <= most_pictures(256 * MB)

"""What networks take: from the table, growing with what is asked for."""

import math

import pytest

from fusionfer.costs import (
    NETWORKS,
    estimate_explaining,
    estimate_exporting,
    estimate_extraction,
    estimate_prediction,
    estimate_training,
    fitting_batch,
    network_costs,
    workers_for,
)

BOTH = [("resnet34", 224), ("resnet50", 224)]
FER = 35_710


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
    assert more.bytes - one.bytes == FER * 900
    assert more.seconds > 1.8 * one.seconds
    small = estimate_extraction(FER, [(name, 48) for name, _ in BOTH], threads=2)
    assert small.bytes < one.bytes
    assert 5 * small.seconds < one.seconds
    parallel = estimate_extraction(FER, BOTH, threads=8)
    assert parallel.bytes > one.bytes


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
    assert estimate_prediction(1000, BOTH, columns=2560).bytes - none.bytes == 12 * 1000 * 2560
    assert estimate_prediction(1000, BOTH, head=1 << 20).bytes - none.bytes == 3 << 20
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
    many = estimate_training(10**7, 3_500, [("resnet34", 44)], **words)
    assert dict(many.parts)["pictures"] == 2 << 30

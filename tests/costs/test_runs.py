"""Several steps in a row: the most that any of them takes, and the time of all."""

from fusionfer.costs import estimate_demo, estimate_extraction, estimate_repair, estimate_replay, estimate_verifying
from fusionfer.training import read_recipe

BOTH = [("resnet34", 224), ("resnet50", 224)]


def test_a_demo_is_more_than_its_extraction():
    """Heads and figures come with it; more persons take more."""
    networks = [("resnet34", 64), ("resnet50", 64)]
    one = estimate_demo(42, 64)
    assert one.bytes > estimate_extraction(42 * 35, networks).bytes
    assert estimate_demo(84, 64).seconds > one.seconds


def test_a_repair_has_room_for_the_largest_network():
    """Of several one at a time; of none it is a look at the checksums."""
    assert estimate_repair(1 << 30, 1000).bytes == estimate_verifying(1 << 30, 1000).bytes
    one = estimate_repair(1 << 30, 1000, ["mobilenet_v2", "resnet50"])
    assert one.bytes == estimate_extraction(1000, [("resnet50", 224)]).bytes


def test_a_repair_is_as_large_as_its_largest_estimate():
    """VGG16 has the weights, DenseNet121 the activations of a batch in each of several workers."""
    names = ["densenet121", "vgg16", "mobilenet_v2"]
    each = [estimate_extraction(1000, [(name, 224)]).bytes for name in names]
    assert estimate_repair(1 << 30, 1000, names).bytes == max(each)


def test_a_replay_is_extraction_and_heads():
    """Extraction once, a head for each run; large features decide its memory, small ones the networks."""
    one, three = (estimate_replay(35_710, BOTH, runs=runs) for runs in (1, 3))
    assert one.bytes == three.bytes > 4 * 35_710 * 4096
    assert estimate_replay(35_710, BOTH, columns=2560).bytes < one.bytes
    assert three.seconds > one.seconds > estimate_extraction(35_710, BOTH).seconds / 1.01
    assert estimate_replay(10, BOTH).bytes == estimate_extraction(10, BOTH).bytes


def test_a_replayed_training_is_trained_each_time():
    """Epochs of the recipe, once for each run."""
    recipe = read_recipe("malik-2025", epochs=2)
    one, three = (estimate_replay(1000, [("resnet50v2", 96)], runs=runs, recipe=recipe) for runs in (1, 3))
    assert three.seconds == 3 * one.seconds

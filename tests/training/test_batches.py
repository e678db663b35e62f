"""What an epoch shows follows from seed and epoch alone."""

import numpy as np
import pytest
import torch

from fusionfer.training import read_recipe
from fusionfer.training._batches import TrainingBatches, ViewingBatches, draw


class Numbers:
    """Stands for `Pictures`: each picture holds its own number."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def take(self, rows):
        return np.asarray(rows, dtype=np.int64)


def batches(n=20, *, epoch=0, seed=0, targets=None, **keys):
    recipe = read_recipe({"batch_size": 6, **keys})
    targets = np.arange(n) % 2 if targets is None else targets
    made = TrainingBatches(Numbers(n), targets, recipe, seed, lambda: epoch)
    shown = list(made)
    assert len(shown) == len(made)
    return shown


def shared(rank, ranks, n=20, **keys):
    """Batches of one of several ranks."""
    recipe = read_recipe({"batch_size": 7, **keys})
    made = TrainingBatches(Numbers(n), np.arange(n) % 3, recipe, 0, lambda: 2)
    made.rank, made.ranks = rank, ranks
    return list(made)


def equal(one, other):
    return all(
        a.keys() == b.keys() and all(torch.equal(torch.as_tensor(a[k]), torch.as_tensor(b[k])) for k in a)
        for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_is_the_same_every_time_and_another_one_is_not():
    """Same seed and epoch, same bytes, whatever was drawn elsewhere; another seed or epoch, another order."""
    first = batches(mixup=0.5, epoch=4)
    torch.manual_seed(99)
    np.random.default_rng(5).random(3)
    assert equal(first, batches(mixup=0.5, epoch=4))
    for other in (batches(mixup=0.5, epoch=5), batches(mixup=0.5, epoch=4, seed=1)):
        assert not torch.equal(first[0]["pixels"], other[0]["pixels"])


def test_an_epoch_shows_every_picture_at_most_once():
    """Three whole batches of 20 pictures; two are left out, and not the same ones in every epoch."""
    shown = [torch.cat([b["pixels"] for b in batches(epoch=epoch)]).tolist() for epoch in range(5)]
    assert all(len(set(one)) == len(one) == 18 for one in shown)
    assert len({frozenset(one) for one in shown}) > 1


def test_numbers_of_a_picture_do_not_depend_on_its_place():
    """Augmentation is drawn by (seed, epoch, sample): another batch size changes the batches, not the draws."""
    by_picture = [
        {
            int(p): d.tolist()
            for b in batches(epoch=3, batch_size=size)
            for p, d in zip(b["pixels"], b["draws"], strict=True)
        }
        for size in (6, 4)
    ]
    common = by_picture[0].keys() & by_picture[1].keys()
    assert len(common) >= 16
    assert all(by_picture[0][p] == by_picture[1][p] for p in common)


def test_targets_go_with_their_pictures():
    """Each picture comes with its own class."""
    targets = np.random.default_rng(0).integers(0, 3, 20)
    for batch in batches(targets=targets):
        assert batch["targets"].tolist() == targets[batch["pixels"].numpy()].tolist()


def test_the_sampler_makes_classes_equal():
    """A class of 5 % is drawn as often as that of 95 %, and copies of a picture are changed in different ways."""
    targets = (np.arange(400) >= 380).astype(int)
    shown = batches(400, targets=targets, balance="sampler", batch_size=100)
    share = torch.cat([b["targets"] for b in shown]).float().mean()
    assert 0.4 < share < 0.6
    pixels, draws = torch.cat([b["pixels"] for b in shown]), torch.cat([b["draws"] for b in shown])
    (twice,) = torch.nonzero(pixels == pixels[torch.cat([b["targets"] for b in shown]) == 1][0], as_tuple=True)
    assert len(twice) > 1
    assert not torch.equal(draws[twice[0]], draws[twice[1]])


def test_shares_go_with_their_pictures():
    """In training, whatever rank, and in validation; the whole batch is told by its shares, too."""
    shares = np.random.default_rng(0).dirichlet([1.0] * 3, 20).astype(np.float32)
    recipe = read_recipe({"batch_size": 7, "mixup": 0.5})
    for ranks in (1, 2):
        made = TrainingBatches(Numbers(20), np.arange(20) % 3, recipe, 0, lambda: 0, shares)
        made.ranks = ranks
        for batch in made:
            assert np.array_equal(batch["shares"], shares[batch["pixels"].numpy()])
            assert ranks == 1 or batch["whole"].shape == (7, 3)
    for batch in ViewingBatches(Numbers(20), np.arange(20), 6, shares):
        assert np.array_equal(batch["shares"], shares[batch["pixels"].numpy()])


def test_fewer_pictures_than_a_batch():
    """They make one batch of all."""
    (only,) = batches(4)
    assert sorted(only["pixels"].tolist()) == [0, 1, 2, 3]


def test_mixup_draws():
    """Partners are a permutation; shares follow Beta(alpha, alpha): mean 1/2, variance 1 / (4 (2 alpha + 1))."""
    shown = [batches(6, mixup=0.5, epoch=epoch)[0] for epoch in range(400)]
    assert all(sorted(b["partners"].tolist()) == list(range(6)) for b in shown)
    shares = np.array([b["share"] for b in shown])
    assert shares.mean() == pytest.approx(0.5, abs=0.06)
    assert shares.var() == pytest.approx(1 / 8, abs=0.02)
    assert len({b["seed"] for b in shown}) == 400


def test_kinds_of_draws_do_not_share_numbers():
    """Order, augmentation, mixup and dropout have streams of their own."""
    assert len({draw(0, 0, kind, step).random() for kind in range(4) for step in range(3)}) == 12


def test_viewing_keeps_the_order_and_shows_all():
    """Validation shows every picture once, in its order."""
    whole = ViewingBatches(Numbers(7), np.arange(7), 3)
    assert [b["pixels"].tolist() for b in whole] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(whole) == 3


@pytest.mark.parametrize("balance", ["none", "sampler"])
def test_ranks_share_each_batch(balance):
    """Of three ranks each has its rows of the same batch, seven pictures as 3, 2 and 2; none twice, none left out."""
    whole = shared(0, 1, balance=balance)
    parts = [shared(rank, 3, balance=balance) for rank in range(3)]
    assert [len(part) for part in parts] == [len(whole)] * 3
    for step, batch in enumerate(whole):
        for rank, part in enumerate(parts):
            assert all(torch.equal(part[step][k], batch[k][rank::3]) for k in ("pixels", "targets", "draws"))
            assert torch.equal(part[step]["whole"], batch["targets"])
    assert len(parts[0][0]["pixels"]) == 3


def test_ranks_mix_as_one_process_does():
    """Each own picture has the same partner, of whatever rank, with the same changes; the share is the same."""
    whole = shared(0, 1, mixup=0.5)
    for rank in range(3):
        for one, batch in zip(shared(rank, 3, mixup=0.5), whole, strict=True):
            assert one["share"] == batch["share"]
            for k in ("pixels", "targets", "draws"):
                assert torch.equal(one[k][: len(one["partners"])], batch[k][rank::3])
                assert torch.equal(one[k][one["partners"]], batch[k][batch["partners"]][rank::3])


def test_ranks_drop_different_units():
    """Dropout has another seed in each rank; the first has that of a single process."""
    seeds = [[batch["seed"] for batch in shared(rank, max(rank + 1, 1))] for rank in range(3)]
    assert seeds[0] == [batch["seed"] for batch in shared(0, 3)]
    assert len({seed for one in seeds for seed in one}) == 6


def test_ranks_view_each_picture_once():
    """Seven pictures for three ranks: none is shown twice to fill a batch."""
    shown = []
    for rank in range(3):
        one = ViewingBatches(Numbers(7), np.arange(7), 2)
        one.rank, one.ranks = rank, 3
        found = list(one)
        assert len(found) == len(one)
        assert all(torch.equal(batch["pixels"], batch["targets"]) for batch in found)
        shown += torch.cat([batch["pixels"] for batch in found]).tolist()
    assert sorted(shown) == list(range(7))

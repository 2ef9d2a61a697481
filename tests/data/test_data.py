"""Datasets, samplers and the loader."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


def numbers(n=10):
    return TensorDataset(tg.arange(n), tg.arange(n) * 2.0)


class Squares(Dataset):
    def __getitem__(self, index):
        return {"n": index, "square": float(index * index), "name": f"no {index}"}

    def __len__(self):
        return 5


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


def test_batches_in_order_with_a_short_last_one():
    batches = [(x.tolist(), y.tolist()) for x, y in DataLoader(numbers(), batch_size=4)]
    assert batches[0] == ([0, 1, 2, 3], [0.0, 2.0, 4.0, 6.0])
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    loader = DataLoader(numbers(), batch_size=4, drop_last=True)
    assert len(loader) == len(list(loader)) == 2


def test_shuffling_follows_the_seed_and_visits_everything():
    def order():
        return [i for x, _ in DataLoader(numbers(50), batch_size=7, shuffle=True) for i in x.tolist()]

    tg.manual_seed(1)
    first, second = order(), order()
    tg.manual_seed(1)
    assert order() == first
    assert first != second
    assert sorted(first) == list(range(50))


def test_threads_give_the_same_batches_in_order():
    plain = [x.tolist() for x, _ in DataLoader(numbers(23), batch_size=3)]
    assert [x.tolist() for x, _ in DataLoader(numbers(23), batch_size=3, num_workers=2)] == plain


def test_an_error_in_a_worker_reaches_the_caller():
    class Broken(Squares):
        def __getitem__(self, index):
            raise KeyError(index)

    with pytest.raises(KeyError):
        list(DataLoader(Broken(), num_workers=2))


def test_collation_of_structures():
    (batch,) = DataLoader(Squares(), batch_size=5)
    assert batch["n"].tolist() == [0, 1, 2, 3, 4]
    assert batch["square"].dtype is tg.float64
    assert batch["name"][2] == "no 2"
    assert default_collate([np.zeros(2, np.float32)] * 3).shape == (3, 2)
    with pytest.raises(TypeError, match="collate_fn"):
        default_collate([object()])


def test_streams_subsets_and_concatenation():
    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    joined = ConcatDataset([Squares(), Subset(Squares(), [4, 3])])
    assert [joined[i]["n"] for i in (0, 4, 5, -1)] == [0, 4, 4, 3]
    with pytest.raises(IndexError, match="7 items"):
        joined[7]


def test_random_split_covers_the_whole():
    parts = random_split(numbers(), [7, 3])
    assert sorted(int(p[i][0]) for p in parts for i in range(len(p))) == list(range(10))
    assert [len(p) for p in random_split(numbers(), [0.75, 0.25])] == [8, 2]
    with pytest.raises(ValueError, match="add up to 9"):
        random_split(numbers(), [7, 2])


def test_weighted_sampling_ignores_weight_zero():
    drawn = list(WeightedRandomSampler([0.0, 1.0, 3.0], 200))
    assert set(drawn) == {1, 2}
    assert drawn.count(2) > drawn.count(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"shuffle": True, "sampler": [0]}, "exclude"),
        ({"batch_size": None, "drop_last": True}, "drop_last"),
        ({"num_workers": -1}, "num_workers"),
    ],
)
def test_contradicting_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(numbers(), **options)


def test_unequal_tensors_are_refused():
    with pytest.raises(RuntimeError, match=r"\[2, 3\]"):
        TensorDataset(tg.zeros(2), tg.zeros(3))

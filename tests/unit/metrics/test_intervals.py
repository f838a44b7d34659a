import numpy as np
import pytest

from d2f.metrics import cluster_bootstrap, roc_auc


def clustered(random, clusters=40, size=10, between=1.0):
    """A mean near zero whose images of one cluster share an offset."""
    offsets = random.normal(0, between, clusters)
    values = np.repeat(offsets, size) + random.normal(0, 0.3, clusters * size)
    return np.repeat(np.arange(clusters), size), values


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(11)
    held = 0
    for trial in range(150):
        components, values = clustered(random)
        labels = np.zeros(len(values), dtype=np.int8)
        found = cluster_bootstrap(lambda i, v=values: float(v[i].mean()), components, labels, 300, seed=trial)
        held += found.low <= 0 <= found.high
    # 0.95 +- three binomial deviations of 150 trials, and the percentile interval's known slight shortness
    assert 0.88 <= held / 150 <= 1.0


def test_it_is_wider_than_one_that_draws_images_singly():
    components, values = clustered(np.random.default_rng(12))
    labels = np.zeros(len(values), dtype=np.int8)
    whole = cluster_bootstrap(lambda i: float(values[i].mean()), components, labels)
    single = cluster_bootstrap(lambda i: float(values[i].mean()), np.arange(len(values)), labels)
    assert whole.high - whole.low > 2 * (single.high - single.low)
    assert whole.value == single.value == pytest.approx(values.mean())


def test_whole_components_are_drawn_and_no_label_is_lost():
    components, labels = np.array([0, 0, 1, 1, 1, 2, 3, 3]), np.array([0, 0, 0, 0, 0, 1, 1, 0])
    seen = []

    def figure(index):
        seen.append(index)
        counts = np.bincount(index, minlength=8)
        for component in range(4):
            assert len(set(counts[components == component])) == 1
        return roc_auc(labels[index], index.astype(float))

    cluster_bootstrap(figure, components, labels, draws=50)
    assert all(len(set(labels[index])) == 2 for index in seen)


def test_the_same_seed_gives_the_same_interval():
    components, values = clustered(np.random.default_rng(13))
    labels = np.zeros(len(values), dtype=np.int8)
    one, two = (cluster_bootstrap(lambda i: float(values[i].mean()), components, labels, 50, seed=5) for _ in "ab")
    assert one == two
    assert one.low < one.value < one.high


def test_one_component_gives_no_bounds():
    found = cluster_bootstrap(lambda i: 1.0, np.zeros(4, dtype=int), np.array([0, 1, 0, 1]))
    assert found.value == 1.0
    assert np.isnan([found.low, found.high]).all()
    assert str(found) == "1.000 [nan, nan]"

"""Arrays loaded strictly, layers frozen, published state dicts renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten

from d2f import D2FError, Exit
from d2f.models import (
    ResNet,
    ResNetConfig,
    SmallVGG,
    VGGConfig,
    ViTShape,
    arrays_of,
    freeze,
    from_published,
    load_arrays,
    resnet_shape,
    vit_arrays,
)
from d2f.models.published import vgg_arrays
from d2f.weights import read_weights, write_weights
from tests.unit.models import state_dicts
from tests.unit.models.seeded import Array, state_dict, tensor

# Arrays into networks, and networks into arrays.


@pytest.fixture
def pictures() -> mx.array:
    return mx.array(np.random.default_rng(3).uniform(size=(2, 32, 32, 3)).astype(np.float32))


def test_round_trip(tmp_path: Path, pictures: mx.array) -> None:
    one, other = ResNet(resnet_shape(20)).eval(), ResNet(resnet_shape(20)).eval()
    write_weights(tmp_path / "a.safetensors", arrays_of(one))
    assert load_arrays(other, read_weights(tmp_path / "a.safetensors").arrays) is True
    assert mx.array_equal(one(pictures), other(pictures))


def test_half_precision_is_widened(pictures: mx.array) -> None:
    one, other = ResNet(resnet_shape(20)).eval(), ResNet(resnet_shape(20)).eval()
    load_arrays(other, {name: array.astype(np.float16) for name, array in arrays_of(one).items()})
    assert other.stem.weight.dtype == mx.float32
    np.testing.assert_allclose(np.array(other(pictures)), np.array(one(pictures)), atol=2e-2)


def test_a_new_head_stays_fresh(pictures: mx.array) -> None:
    thousand, one = ResNet(resnet_shape(20, logits=1000)).eval(), ResNet(resnet_shape(20)).eval()
    head = np.array(one.head.weight)
    assert load_arrays(one, arrays_of(thousand), new_head=True) is False
    np.testing.assert_array_equal(np.array(one.head.weight), head)
    assert mx.array_equal(one.features(pictures), thousand.features(pictures))


def test_a_head_that_fits_is_loaded() -> None:
    one, other = SmallVGG(3), SmallVGG(3)
    assert load_arrays(other, arrays_of(one), new_head=True) is True
    assert mx.array_equal(one.head.weight, other.head.weight)


def test_a_head_is_not_left_out_unasked() -> None:
    model = ResNet(resnet_shape(20))
    with pytest.raises(D2FError) as caught:
        load_arrays(model, arrays_of(ResNet(resnet_shape(20, logits=2))), "soft/default")
    assert str(caught.value).splitlines() == [
        "error[D2F504]: weights 'soft/default' do not fit the model",
        "   = shape of head.bias: (2), not (1)",
        "   = shape of head.weight: (2, 64), not (1, 64)",
    ]


def test_a_new_head_excuses_nothing_else() -> None:
    arrays = arrays_of(ResNet(resnet_shape(20, logits=2)))
    del arrays["stem.weight"]
    with pytest.raises(D2FError, match=r"missing: stem\.weight \(16, 3, 3, 3\)"):
        load_arrays(ResNet(resnet_shape(20)), arrays, new_head=True)


# Frozen layers neither learn nor move their statistics.


def step(model: nn.Module, side: int = 32) -> None:
    """Train a network for one step on noise."""
    drawn = np.random.default_rng(4)
    x, labels = mx.array(drawn.uniform(size=(4, side, side, 3)).astype(np.float32)), mx.array([0.0, 1.0, 0.0, 1.0])
    model.train()
    optimiser = optim.SGD(0.1)
    lost = nn.value_and_grad(model, lambda x: nn.losses.binary_cross_entropy(model(x), labels))
    optimiser.update(model, lost(x)[1])
    mx.eval(model.parameters())


def moved(model: nn.Module, side: int = 32) -> set[str]:
    """Return the layers whose arrays a step of training changes."""
    before = arrays_of(model)
    step(model, side)
    after = arrays_of(model)
    assert before.keys() == after.keys()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    return {
        ".".join(name.split(".")[: 2 if name.startswith(("stages", "blocks", "hidden")) else 1]) for name in changed
    }


def test_the_whole_backbone() -> None:
    model = ResNet(resnet_shape(20))
    assert freeze(model) == ["stem", "stem_norm", "stages.0", "stages.1", "stages.2"]
    assert moved(model) == {"head"}


@pytest.mark.parametrize("until", ["layer3", "stages.2"])
def test_from_a_named_layer_on(until: str) -> None:
    model = ResNet(resnet_shape(20))
    freeze(model, until)
    assert moved(model) == {"stages.2", "head"}


def test_vgg() -> None:
    model = SmallVGG(dropout=0.0)
    assert freeze(model, "hidden.1") == ["blocks.0", "blocks.1", "blocks.2", "hidden.0"]
    assert moved(model, 28) == {"hidden.1", "head"}


def test_nothing_frozen() -> None:
    model = ResNet(resnet_shape(20))
    assert freeze(model, "stem") == []
    assert moved(model) == {"stem", "stem_norm", "stages.0", "stages.1", "stages.2", "head"}


def test_the_network_computes_what_it_did() -> None:
    model = ResNet(resnet_shape(20)).eval()
    x = mx.array(np.random.default_rng(5).uniform(size=(2, 32, 32, 3)).astype(np.float32))
    before = model(x)
    freeze(model, "head")
    assert mx.array_equal(model.eval()(x), before)
    # In training too: all that is left to the batch is the head.
    np.testing.assert_allclose(np.array(model.train()(x)), np.array(before), atol=1e-5)
    assert [name for name, _ in tree_flatten(model.trainable_parameters())] == ["head.weight", "head.bias"]


def test_an_unknown_layer() -> None:
    with pytest.raises(ValueError, match=r"no layer 'stages\.7': .*stages\.2"):
        freeze(ResNet(resnet_shape(20)), "stages.7")


# State dicts named as torchvision and timm publish them, taken over strictly.


def empty(shapes: state_dicts.Shapes) -> dict[str, Array]:
    """Return arrays that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def error_of(state: dict[str, Array], **more: object) -> str:
    with pytest.raises(D2FError) as caught:
        from_published(state, "torchvision", **more)  # type: ignore[arg-type]
    assert caught.value.problems[0].code == "D2F504"
    return str(caught.value)


class TestResNet:
    @pytest.mark.parametrize("publisher", ["torchvision", "timm"])
    @pytest.mark.parametrize(("depth", "classes"), [(18, 1000), (34, 2), (50, 1)])
    def test_every_tensor_finds_its_place(self, depth: int, classes: int, publisher: str) -> None:
        shapes = state_dicts.resnet(depth, classes)
        found = from_published(empty(shapes), publisher)  # type: ignore[arg-type]
        assert found.config == ResNetConfig(architecture="resnet", depth=depth, logits=classes)  # type: ignore[arg-type]
        assert sorted(found.dropped) == sorted(name for name in shapes if name.endswith("num_batches_tracked"))
        assert len(found.arrays) == len(shapes) - len(found.dropped)

    def test_convolutions_are_turned(self) -> None:
        state = empty(state_dicts.resnet(18))
        state["layer2.0.conv1.weight"] = tensor("one", (128, 64, 3, 3))
        turned = from_published(state, "torchvision").arrays["stages.1.0.conv1.weight"]
        np.testing.assert_array_equal(turned[5, 2, 1], state["layer2.0.conv1.weight"][5, :, 2, 1])

    def test_head_dropped(self) -> None:
        found = from_published(empty(state_dicts.resnet(18)), "torchvision", drop_head=True)
        assert not any(name.startswith("head.") for name in found.arrays)
        assert found.dropped[-2:] == ("head.weight", "head.bias")

    def test_a_file_without_head(self) -> None:
        shapes = state_dicts.resnet(18)
        del shapes["fc.weight"], shapes["fc.bias"]
        assert "missing: head.bias (1)" in error_of(empty(shapes))
        assert from_published(empty(shapes), "torchvision", drop_head=True).arrays

    def test_names_of_data_parallel(self) -> None:
        state = {f"module.{name}": array for name, array in empty(state_dicts.resnet(18)).items()}
        assert from_published(state, "torchvision").config.logits == 1000

    def test_strict(self) -> None:
        shapes = state_dicts.resnet(18)
        del shapes["layer1.0.bn1.bias"]
        shapes |= {"layer1.0.se.weight": (4, 4), "bn1.weight": (32,)}
        assert error_of(empty(shapes)).splitlines() == [
            "error[D2F504]: the weights do not fit the model",
            "   = missing: stages.0.0.norm1.bias (64)",
            "   = unknown: layer1.0.se.weight (4, 4)",
            "   = shape of stem_norm.weight: (32), not (64)",
        ]

    def test_a_depth_that_is_not_there(self) -> None:
        shapes = state_dicts.resnet(50)
        shapes["layer3.22.conv3.weight"] = (1024, 256, 1, 1)
        assert error_of(empty(shapes)).splitlines() == [
            "error[D2F504]: no ResNet of d2f.models has (3, 4, 23, 3) bottleneck blocks",
            "   = it has ResNet-18, 34 and 50",
        ]


class TestVGG:
    @pytest.mark.parametrize("publisher", ["torchvision", "timm"])
    @pytest.mark.parametrize("batch_norm", [False, True])
    @pytest.mark.parametrize("depth", [11, 13, 16, 19])
    def test_every_tensor_finds_its_place(self, depth: int, batch_norm: bool, publisher: str) -> None:
        shapes = state_dicts.vgg(depth, batch_norm, timm=publisher == "timm")
        # A first hidden layer of one row, so that nothing large is turned; its shape is then all that is wrong.
        name = next(name for name, shape in shapes.items() if shape[:1] == (4096,))
        shapes[name] = (1, *shapes[name][1:])
        with pytest.raises(D2FError) as caught:
            from_published(empty(shapes), publisher)  # type: ignore[arg-type]
        assert caught.value.problems[0].notes == ("shape of hidden.0.weight: (1, 25088), not (4096, 25088)",)

    def test_a_whole_one(self) -> None:
        found = from_published(empty(state_dicts.vgg(11, True, classes=2)), "torchvision")
        assert found.config == VGGConfig(architecture="vgg", depth=11, batch_norm=True, logits=2)

    def test_the_first_hidden_layer_reads_channels_last(self) -> None:
        state = state_dict(state_dicts.vgg(11, False, 10, 8, 16))
        turned = vgg_arrays(state, "torchvision")["hidden.0.weight"].reshape(16, 7, 7, 64)
        np.testing.assert_array_equal(turned[3, 4, 5], state["classifier.0.weight"].reshape(16, 64, 7, 7)[3, :, 4, 5])

    def test_timm_holds_the_same_numbers(self) -> None:
        state = state_dict(state_dicts.vgg(11, False, 10, 8, 16))
        shapes = state_dicts.vgg(11, False, 10, 8, 16, timm=True)
        named = zip(shapes.items(), state.values(), strict=True)
        theirs = vgg_arrays({name: array.reshape(shape) for (name, shape), array in named}, "timm")
        ours = vgg_arrays(state, "torchvision")
        assert theirs.keys() == ours.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(theirs[name], array)

    def test_a_depth_that_is_not_there(self) -> None:
        shapes = state_dicts.vgg(11)
        shapes["features.30.weight"] = (512, 512, 3, 3)
        assert "no VGG of d2f.models has 9 convolutions" in error_of(empty(shapes))


def test_another_network() -> None:
    assert error_of({"blocks.0.attn.qkv.weight": np.zeros((3, 1))}).splitlines() == [
        "error[D2F504]: these are not torchvision's names of a ResNet or a VGG",
        "   = they begin: blocks.0.attn.qkv.weight",
    ]


def test_nothing_at_all() -> None:
    with pytest.raises(D2FError, match="there are none") as caught:
        from_published({}, "timm")
    assert caught.value.exit is Exit.USAGE


@pytest.mark.parametrize(("rotary", "head"), [("index", [0, 2, 1, 3]), (None, [0, 1, 2, 3])])
def test_channels_that_turn_together_stand_half_a_head_apart(rotary: Any, head: list[int]) -> None:
    shape = ViTShape(16, 8, 8, 1, 2, 16, rotary=rotary)
    rows = np.arange(24, dtype=np.float32)
    state = {"blocks.0.attn.qkv.weight": np.repeat(rows[:, None], 8, axis=1), "blocks.0.attn.qkv.bias": rows}
    found = vit_arrays(state, "timm", shape)
    # Two heads of q, two of k; v stays.
    expected = [start + channel for start in (0, 4, 8, 12) for channel in head] + list(range(16, 24))
    assert found["blocks.0.qkv.bias"].tolist() == expected
    assert found["blocks.0.qkv.weight"][:, 0].tolist() == expected

"""State dicts named as torchvision and timm publish them, taken over strictly."""

from __future__ import annotations

import numpy as np
import pytest

from d2f import D2FError, Exit
from d2f.models import ResNetConfig, VGGConfig, from_published
from d2f.models.published import vgg_arrays
from tests.unit.models import state_dicts
from tests.unit.models.seeded import Array, state_dict, tensor


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

"""Configurations of models, as recipes hold them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from d2f.models import (
    VGG,
    ModelConfig,
    ResNet,
    ResNetConfig,
    SmallVGG,
    build_model,
    model_config,
    resnet_shape,
    vgg_shape,
)


class Recipe(BaseModel):
    model: ModelConfig


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"architecture": "resnet", "depth": 56, "residual": False}, ResNet),
        ({"architecture": "resnet", "depth": 18, "stem": {"width": 32, "kernel": 4, "stride": 4}}, ResNet),
        ({"architecture": "vgg", "depth": 11, "batch_norm": True}, VGG),
        ({"architecture": "small-vgg", "dropout": 0.2, "logits": 2}, SmallVGG),
    ],
)
def test_a_recipe_s_model(data: dict[str, object], kind: type) -> None:
    config = Recipe.model_validate({"model": data}).model
    assert config == model_config(data)
    assert model_config(config.model_dump()) == config
    assert isinstance(build_model(config), kind)


def test_a_stem_of_one_s_own() -> None:
    stem = {"width": 16, "kernel": 4, "stride": 4}
    model = build_model(model_config({"architecture": "resnet", "depth": 20, "stem": stem}))
    assert model.stem.weight.shape == (16, 4, 4, 3)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"architecture": "resnet", "depth": 21}, "depth"),
        ({"architecture": "resnet", "depth": 18, "batch_norm": True}, "batch_norm"),
        ({"architecture": "vgg", "depth": 11, "residual": False}, "residual"),
        ({"architecture": "vgg", "depth": 11, "dropout": 1.0}, "dropout"),
        ({"architecture": "small-vgg", "logits": 0}, "logits"),
        ({"architecture": "transformer"}, ""),
        ({"depth": 18}, ""),
    ],
)
def test_mistakes_are_placed(data: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model_config(data)
    (error,) = caught.value.errors()
    assert (str(error["loc"][-1]) if error["loc"] else "") == where


def test_every_key_is_described() -> None:
    schema = ResNetConfig.model_json_schema()
    assert all(key.get("description") or "$ref" in str(key) for key in schema["properties"].values())


@pytest.mark.parametrize("shape", [resnet_shape, vgg_shape])
def test_a_depth_that_nobody_published(shape: object) -> None:
    with pytest.raises(ValueError, match=r"of depth 17 was published; there are .*1"):
        shape(17)  # type: ignore[operator]

"""Towers of transformers and timm with seeded weights: what d2f's are compared with. Needs PyTorch."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
from d2f_towers.towers import Tower
from numpy.typing import NDArray

from d2f.models import ViTShape
from d2f.weights import read_weights

ACTIVATIONS = {"gelu": "gelu", "gelu-tanh": "gelu_pytorch_tanh", "quick-gelu": "quick_gelu"}
TRAINED = 37
"""Patches along a side of DINOv2's learned positions, at 518 pixels."""


def reference(name: str, tower: Tower, folder: Path) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return a seeded tower in PyTorch, and its state dict as its publisher would save it."""
    module = seeded(_timm(name, tower.shape) if tower.layout == "timm" else _transformers(name, tower))
    if tower.layout == "timm":
        return module, {key: value.numpy() for key, value in module.state_dict().items()}
    module.save_pretrained(folder)
    return module, read_weights(folder / "model.safetensors").arrays


def seeded(module: Any) -> Any:
    """Draw all weights such that signals keep their size, from one seed."""
    import torch

    torch.manual_seed(27)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, (1 / parameter[0].numel()) ** 0.5)
            elif name.endswith(("weight", "lambda1")):
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0, 0.1)
    return module.eval()


def outputs(module: Any, x: NDArray[np.float32]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Return the tokens after every block, and the output, for normalised pictures (n, size, size, 3)."""
    import torch

    found: list[NDArray[Any]] = []
    for block in _blocks(module):
        block.register_forward_hook(
            lambda _, __, out: found.append((out[0] if isinstance(out, tuple) else out).numpy())
        )
    with torch.inference_mode():
        made = module(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))
    for name in ("image_embeds", "pooler_output"):
        made = getattr(made, name, made)
    return found, made.numpy()


def _blocks(module: Any) -> Any:
    """Return the list of blocks: the longest one in the module."""
    import torch

    lists = [one for one in module.modules() if isinstance(one, torch.nn.ModuleList | torch.nn.Sequential)]
    numbered = [one for one in lists if (len(one) and hasattr(one[0], "norm1")) or hasattr(one[0], "layer_norm1")]
    return max(numbered, key=len)


def _transformers(name: str, tower: Tower) -> Any:
    import transformers

    shape = tower.shape
    common = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "image_size": shape.size,
        "patch_size": shape.patch,
        "layer_norm_eps": shape.epsilon,
        "hidden_act": ACTIVATIONS[shape.activation],
    }
    if tower.layout == "clip":
        kind = "MetaClip2" if name.startswith("metaclip2") else "CLIP"
        config = getattr(transformers, f"{kind}VisionConfig")(
            **common, intermediate_size=shape.hidden, projection_dim=shape.out
        )
        return getattr(transformers, f"{kind}VisionModelWithProjection")(config)
    if tower.layout == "siglip":
        return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**common, intermediate_size=shape.hidden))
    if tower.layout == "dinov2":
        more = {"mlp_ratio": shape.hidden // shape.width, "image_size": TRAINED * shape.patch}
        return transformers.Dinov2Model(transformers.Dinov2Config(**{**common, **more}))
    more = {"intermediate_size": shape.hidden, "num_register_tokens": shape.prefix - 1}
    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**common, **more))


def _timm(name: str, shape: ViTShape) -> Any:
    without_torchvision()
    import torch
    from timm.layers import QuickGELU
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    activation: dict[str, Callable[..., Any]] = {
        "gelu": torch.nn.GELU, "gelu-tanh": partial(torch.nn.GELU, approximate="tanh"), "quick-gelu": QuickGELU
    }  # fmt: skip
    common = {
        "img_size": shape.size,
        "patch_size": shape.patch,
        "embed_dim": shape.width,
        "depth": shape.depth,
        "num_heads": shape.heads,
        "mlp_ratio": shape.hidden / shape.width,
        "norm_layer": partial(torch.nn.LayerNorm, eps=shape.epsilon),
        "num_classes": shape.out or 0,
        "global_pool": "map" if shape.pool == "attention" else "token",
    }
    if shape.rotary:
        rotary = {"use_rot_pos_emb": True, "rope_grid_offset": 1.0, "rope_grid_indexing": "xy", "attn_type": "rope"}
        pool = {"attn_pool_num_heads": shape.pool_heads, "attn_pool_mlp_ratio": shape.hidden / shape.width}
        grid = {"ref_feat_shape": (shape.side, shape.side)}
        return Eva(**common, **rotary, **pool, **grid, use_pre_transformer_norm=True)
    more = {"class_token": bool(shape.prefix), "pre_norm": shape.norm_before, "act_layer": activation[shape.activation]}
    return VisionTransformer(**common, **more)


def without_torchvision() -> None:
    """Import timm, if need be beside a stand-in for torchvision, of which its transformers use nothing."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        _stand_in()
        with suppress(ImportError):
            import timm.models.eva
            import timm.models.vision_transformer  # noqa: F401
        _forget()


def _forget() -> None:
    """Take the stand-in away again: transformers would take it for torchvision."""
    for name in [key for key in sys.modules if key.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


class _Names(type):
    """A class whose attributes are their own names."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Module(types.ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {})


def _stand_in() -> None:
    _forget()
    for name in ("", ".ops", ".ops.misc", ".transforms", ".transforms.functional", ".datasets"):
        full = f"torchvision{name}"
        module = _Module(full)
        module.__path__ = []
        module.__spec__ = ModuleSpec(full, None)
        sys.modules[full] = module
        parent, _, child = full.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)

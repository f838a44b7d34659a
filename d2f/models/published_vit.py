"""Published state dicts of vision transformers, brought into the words of `d2f.models.ViT`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2f.api.errors import D2FError, Exit
from d2f.models.vit import ViTShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

Layout: TypeAlias = Literal["openai", "clip", "siglip", "dinov2", "dinov3", "timm"]

KINDS = r"(weight|bias)"


def _block_rules(prefix: str, **parts: str) -> tuple[tuple[str, str], ...]:
    """Return rules for a block's parts: d2f's names, and theirs behind ``prefix`` and the block's number."""
    return tuple((rf"{prefix}(\d+)\.{theirs}\.{KINDS}", rf"blocks.\1.{ours}.\2") for ours, theirs in parts.items())


HUGGING = {"q": r"self_attn\.q_proj", "k": r"self_attn\.k_proj", "v": r"self_attn\.v_proj"}
SHARED = {
    "out": r"self_attn\.out_proj",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "fc1": r"mlp\.fc1",
    "fc2": r"mlp\.fc2",
}
TIMM = {
    "norm1": "norm1",
    "norm2": "norm2",
    "qkv": r"attn\.qkv",
    "out": r"attn\.proj",
    "fc1": r"mlp\.fc1",
    "fc2": r"mlp\.fc2",
}

RULES: Mapping[Layout, tuple[tuple[str, str], ...]] = {
    "openai": (
        ("class_embedding", "prefix"),
        ("positional_embedding", "places"),
        (r"conv1\.weight", "patches.weight"),
        (rf"ln_pre\.{KINDS}", r"norm_before.\1"),
        (rf"ln_post\.{KINDS}", r"norm.\1"),
        ("proj", "projection"),
        (rf"transformer\.resblocks\.(\d+)\.attn\.in_proj_{KINDS}", r"blocks.\1.qkv.\2"),
        *_block_rules(
            r"transformer\.resblocks\.",
            out=r"attn\.out_proj",
            norm1="ln_1",
            norm2="ln_2",
            fc1=r"mlp\.c_fc",
            fc2=r"mlp\.c_proj",
        ),
    ),
    "clip": (
        (r"(?:vision_model\.)?embeddings\.class_embedding", "prefix"),
        (r"(?:vision_model\.)?embeddings\.position_embedding\.weight", "places"),
        (r"(?:vision_model\.)?embeddings\.patch_embedding\.weight", "patches.weight"),
        # The spelling is theirs.
        (rf"(?:vision_model\.)?pre_layrnorm\.{KINDS}", r"norm_before.\1"),
        (rf"(?:vision_model\.)?post_layernorm\.{KINDS}", r"norm.\1"),
        (r"visual_projection\.weight", "head.weight"),
        *_block_rules(r"(?:vision_model\.)?encoder\.layers\.", **HUGGING, **SHARED),
    ),
    "siglip": (
        (r"(?:vision_model\.)?embeddings\.position_embedding\.weight", "places"),
        (rf"(?:vision_model\.)?embeddings\.patch_embedding\.{KINDS}", r"patches.\1"),
        (rf"(?:vision_model\.)?post_layernorm\.{KINDS}", r"norm.\1"),
        (r"(?:vision_model\.)?head\.probe", "pool.query"),
        (rf"(?:vision_model\.)?head\.attention\.in_proj_{KINDS}", r"pool.qkv.\1"),
        (rf"(?:vision_model\.)?head\.attention\.out_proj\.{KINDS}", r"pool.out.\1"),
        (rf"(?:vision_model\.)?head\.layernorm\.{KINDS}", r"pool.norm.\1"),
        (rf"(?:vision_model\.)?head\.mlp\.(fc\d)\.{KINDS}", r"pool.\1.\2"),
        *_block_rules(r"(?:vision_model\.)?encoder\.layers\.", **HUGGING, **SHARED),
    ),
    "dinov2": (
        (r"embeddings\.cls_token", "prefix"),
        (r"embeddings\.register_tokens", "registers"),
        (r"embeddings\.position_embeddings", "places"),
        (rf"embeddings\.patch_embeddings\.projection\.{KINDS}", r"patches.\1"),
        (rf"layernorm\.{KINDS}", r"norm.\1"),
        (r"encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.scale\2"),
        *_block_rules(
            r"encoder\.layer\.",
            q=r"attention\.attention\.query",
            k=r"attention\.attention\.key",
            v=r"attention\.attention\.value",
            out=r"attention\.output\.dense",
            norm1="norm1",
            norm2="norm2",
            fc1=r"mlp\.fc1",
            fc2=r"mlp\.fc2",
        ),
    ),
    "dinov3": (
        (r"embeddings\.cls_token", "prefix"),
        (r"embeddings\.register_tokens", "registers"),
        (rf"embeddings\.patch_embeddings\.{KINDS}", r"patches.\1"),
        (rf"norm\.{KINDS}", r"norm.\1"),
        (r"(?:model\.)?layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.scale\2"),
        *_block_rules(
            r"(?:model\.)?layer\.",
            q=r"attention\.q_proj",
            k=r"attention\.k_proj",
            v=r"attention\.v_proj",
            out=r"attention\.o_proj",
            norm1="norm1",
            norm2="norm2",
            fc1=r"mlp\.up_proj",
            fc2=r"mlp\.down_proj",
        ),
    ),
    "timm": (
        ("cls_token", "prefix"),
        ("pos_embed", "places"),
        (rf"patch_embed\.proj\.{KINDS}", r"patches.\1"),
        (rf"norm_pre\.{KINDS}", r"norm_before.\1"),
        (rf"(norm|head)\.{KINDS}", r"\1.\2"),
        (r"attn_pool\.latent", "pool.query"),
        (rf"attn_pool\.(q|kv|norm)\.{KINDS}", r"pool.\1.\2"),
        (rf"attn_pool\.proj\.{KINDS}", r"pool.out.\1"),
        (rf"attn_pool\.mlp\.(fc\d)\.{KINDS}", r"pool.\1.\2"),
        *_block_rules(r"blocks\.", **TIMM),
    ),
}
"""How a published name is written, and d2f's; `q`, `k`, `v`, `registers` and `projection` are put together then."""

DROPPED: Mapping[Layout, str] = {
    "openai": "",
    "clip": r"text_model\..*|text_projection\.weight|logit_scale|.*\.position_ids",
    "siglip": r"text_model\..*|logit_scale|logit_bias|.*\.position_ids",
    "dinov2": r"embeddings\.mask_token",
    "dinov3": r"embeddings\.mask_token",
    "timm": "",
}
"""Names that have no part in the output: the text tower, a mask's token."""


def vit_arrays(state: Mapping[str, NDArray[Any]], layout: Layout, shape: ViTShape) -> Arrays:
    """Return a published state dict under the names of `d2f.models.ViT`.

    Parameters
    ----------
    state : mapping of str to numpy.ndarray
        As PyTorch holds it: convolutions (out, in, height, width), linear layers (out, in).
    layout : {'openai', 'clip', 'siglip', 'dinov2', 'dinov3', 'timm'}
        Whose names these are: OpenAI's own; transformers' CLIP and MetaCLIP 2, SigLIP, DINOv2, DINOv3; timm's, also of
        Perception Encoder, whose rotary positions turn neighbouring channels.
    shape : ViTShape
        Learned positions of another size than its own are resampled to it, bicubic, as transformers does.

    Returns
    -------
    dict of str to numpy.ndarray
        Names that are none of theirs stay, for `d2f.models.load_arrays` to refuse.

    Raises
    ------
    D2FError
        D2F504: an array that has to be put together has another shape, or lacks a part.
    """
    try:
        return _renamed_arrays(state, layout, shape)
    except (KeyError, ValueError, IndexError) as error:
        message = f"these are not the arrays of such a vision transformer in the words of {layout}"
        raise D2FError.of("D2F504", message, str(error), exit=Exit.PLUGIN) from error


def _renamed_arrays(state: Mapping[str, NDArray[Any]], layout: Layout, shape: ViTShape) -> Arrays:
    import numpy as np

    made: Arrays = {}
    for name, array in state.items():
        if DROPPED[layout] and re.fullmatch(DROPPED[layout], name):
            continue
        made[_renamed(name, layout)] = array
    for name in ("prefix", "registers", "places", "pool.query"):
        if name in made:
            made[name] = made[name].reshape(-1, shape.width)
    if "registers" in made:
        made["prefix"] = np.concatenate([made["prefix"], made.pop("registers")])
    if "projection" in made:
        made["head.weight"] = np.ascontiguousarray(made.pop("projection").T)
    if "patches.weight" in made:
        made["patches.weight"] = made["patches.weight"].transpose(0, 2, 3, 1).reshape(shape.width, -1)
    if "places" in made:
        made["places"] = _resampled(made["places"], shape)
    _joined(made, shape)
    if layout == "timm" and shape.rotary:
        _half_by_half(made, shape)
    absent = {"patches": shape.width, **({"head": shape.out} if shape.out else {})}
    for name, width in absent.items():
        if f"{name}.weight" in made:
            made.setdefault(f"{name}.bias", np.zeros(width, np.float32))
    return made


def _renamed(name: str, layout: Layout) -> str:
    for pattern, ours in RULES[layout]:
        if found := re.fullmatch(pattern, name):
            return found.expand(ours)
    return name


def _joined(made: Arrays, shape: ViTShape) -> None:
    """Put q, k and v of each block together, zeros for a bias that one of them lacks; cut those of a pool apart."""
    import numpy as np

    for number in range(shape.depth):
        for kind in ("weight", "bias"):
            names = [f"blocks.{number}.{part}.{kind}" for part in "qkv"]
            if any(name in made for name in names):
                blank = np.zeros((shape.width, shape.width) if kind == "weight" else shape.width, np.float32)
                made[f"blocks.{number}.qkv.{kind}"] = np.concatenate([made.pop(name, blank) for name in names])
    for kind in ("weight", "bias"):
        whole = made.pop(f"pool.qkv.{kind}", None)
        if whole is not None:
            made[f"pool.q.{kind}"], made[f"pool.kv.{kind}"] = whole[: shape.width], whole[shape.width :]


def _half_by_half(made: Arrays, shape: ViTShape) -> None:
    """Reorder the channels of q and k: pairs that turn together are side by side in theirs, half a head apart here.

    Products of q and k stay what they are, since both are reordered alike.
    """
    import numpy as np

    width, size = shape.width, shape.width // shape.heads
    head = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
    one = (np.arange(0, width, size)[:, None] + head).ravel()
    order = np.concatenate([one, one + width, np.arange(2 * width, 3 * width)])
    for number in range(shape.depth):
        for kind in ("weight", "bias"):
            name = f"blocks.{number}.qkv.{kind}"
            if name in made:
                made[name] = made[name][order]


def _resampled(places: NDArray[Any], shape: ViTShape) -> NDArray[Any]:
    """Return learned positions, (tokens, width), for the shape's number of patches: bicubic, a = -0.75."""
    import numpy as np

    first = int(shape.places == "all")
    side = round((len(places) - first) ** 0.5)
    if side == shape.side or side**2 + first != len(places):
        return places
    matrix = _bicubic(side, shape.side)
    grid = places[first:].reshape(side, side, -1)
    made = np.einsum("ih,jw,hwc->ijc", matrix, matrix, grid, optimize=True).astype(np.float32)
    return np.concatenate([places[:first], made.reshape(shape.side**2, -1)])


def _bicubic(before: int, after: int) -> NDArray[Any]:
    """Return the matrix (after, before) of cubic convolution between samples' centres, borders repeated (Keys 1981)."""
    import numpy as np

    a = -0.75
    matrix = np.zeros((after, before))
    for row in range(after):
        at = (row + 0.5) * before / after - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            d = abs(at - tap)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * (d**3 - 5 * d**2 + 8 * d - 4)
            matrix[row, min(max(tap, 0), before - 1)] += near if d <= 1 else far
    return matrix

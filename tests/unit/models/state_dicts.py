"""The names and shapes of state dicts as torchvision and timm publish them."""

from __future__ import annotations

from collections.abc import Sequence

Shapes = dict[str, tuple[int, ...]]

RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}

# M stands for a maximum over 2x2 (Simonyan and Zisserman 2015, table 1: configurations A, B, D, E).
VGG_LAYERS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


def batch_norm(name: str, width: int) -> Shapes:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{vector}": (width,) for vector in vectors}, f"{name}.num_batches_tracked": ()}


def resnet(depth: int, classes: int = 1000) -> Shapes:
    """Return torchvision's resnet18, resnet34 or resnet50, whose names are timm's too."""
    expansion = 4 if depth >= 50 else 1
    found: Shapes = {"conv1.weight": (64, 3, 7, 7), **batch_norm("bn1", 64)}
    channels = 64
    for layer, count in enumerate(RESNET_BLOCKS[depth], 1):
        width = 64 * 2 ** (layer - 1)
        for block in range(count):
            name, out = f"layer{layer}.{block}", width * expansion
            kernels = [(channels, width, 3), (width, out, 3)]
            if expansion == 4:
                kernels = [(channels, width, 1), (width, width, 3), (width, out, 1)]
            for index, (before, after, size) in enumerate(kernels, 1):
                found[f"{name}.conv{index}.weight"] = (after, before, size, size)
                found |= batch_norm(f"{name}.bn{index}", after)
            if block == 0 and (layer > 1 or out != channels):
                found[f"{name}.downsample.0.weight"] = (out, channels, 1, 1)
                found |= batch_norm(f"{name}.downsample.1", out)
            channels = out
    return {**found, "fc.weight": (classes, channels), "fc.bias": (classes,)}


def vgg(
    depth: int,
    with_batch_norm: bool = False,
    classes: int = 1000,
    thinner: int = 1,
    hidden: int = 4096,
    timm: bool = False,
) -> Shapes:
    """Return torchvision's (or timm's) vgg11 to vgg19, or vgg11_bn to vgg19_bn; `thinner` divides the channels."""
    found: Shapes = {}
    at, channels = 0, 3
    for word in VGG_LAYERS[depth].split():
        if word == "M":
            at += 1
            continue
        width = int(word) // thinner
        found |= {f"features.{at}.weight": (width, channels, 3, 3), f"features.{at}.bias": (width,)}
        if with_batch_norm:
            found |= batch_norm(f"features.{at + 1}", width)
        at, channels = at + (3 if with_batch_norm else 2), width
    names = (
        ("pre_logits.fc1", "pre_logits.fc2", "head.fc") if timm else ("classifier.0", "classifier.3", "classifier.6")
    )
    weights: Sequence[tuple[int, ...]] = [(hidden, channels * 49), (hidden, hidden), (classes, hidden)]
    if timm:
        weights = [(hidden, channels, 7, 7), (hidden, hidden, 1, 1), (classes, hidden)]
    for name, shape in zip(names, weights, strict=True):
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found

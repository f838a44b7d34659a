"""Write clip_tokens.json: class tokens of CLIP's image tower by PyTorch, on a picture that anybody can make again.

    d2f weights pull clip-vit-b16
    python -m tests.plugins.golden.make_clip_tokens

The network is written here a second time, with PyTorch's own layers, so that the two can disagree.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from d2f_towers.records import RECORDS
from torch.nn import functional

from d2f.weights import checked_bytes
from d2f.weights.onnx_file import read_onnx
from tests.plugins.test_towers_int8 import chessboard

BLOCKS = [1, 5, 9, 12]
STEP = 48
"""Every how many numbers of a token are kept."""


def main() -> None:
    """Write the file beside this one."""
    held = read_onnx(checked_bytes(RECORDS[0]))
    tensors = {name: torch.from_numpy(array.copy()) for name, array in held.tensors.items()}
    products = iter(
        node.inputs[1].removesuffix("_quantized") for node in held.nodes if node.operator == "MatMulInteger"
    )

    def weight() -> torch.Tensor:
        name = next(products)
        return (tensors[f"{name}_quantized"].float() * tensors[f"{name}_scale"]).T.contiguous()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, (768,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], 1e-5)

    mean, deviation = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    picture = (torch.from_numpy(chessboard()).float() / 255 - mean) / deviation
    root = "vision_model."
    patches = functional.conv2d(
        picture.permute(2, 0, 1)[None], tensors[f"{root}embeddings.patch_embedding.weight"], stride=16
    )
    x = torch.cat([tensors[f"{root}embeddings.class_embedding"][None, None], patches.flatten(2).transpose(1, 2)], 1)
    x = norm(x + tensors[f"{root}embeddings.position_embedding.weight"], f"{root}pre_layrnorm")
    kept = []
    for number in range(12):
        block = f"{root}encoder.layers.{number}."
        qkv = torch.cat([weight(), weight(), weight()])
        bias = torch.cat([tensors[f"{block}self_attn.{name}_proj.bias"] for name in "qkv"])
        attended, _ = functional.multi_head_attention_forward(
            *[norm(x, f"{block}layer_norm1").transpose(0, 1)] * 3,
            768,
            12,
            qkv,
            bias,
            None,
            None,
            False,
            0.0,
            weight(),
            tensors[f"{block}self_attn.out_proj.bias"],
            training=False,
            need_weights=False,
        )
        x = x + attended.transpose(0, 1)
        inner = functional.linear(norm(x, f"{block}layer_norm2"), weight(), tensors[f"{block}mlp.fc1.bias"])
        x = x + functional.linear(inner * torch.sigmoid(1.702 * inner), weight(), tensors[f"{block}mlp.fc2.bias"])
        if number + 1 in BLOCKS:
            kept.append([round(value, 5) for value in x[0, 0, ::STEP].tolist()])
    content = {"torch": torch.__version__, "blocks": BLOCKS, "step": STEP, "tokens": kept}
    Path(__file__).with_name("clip_tokens.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with torch.inference_mode():
        main()

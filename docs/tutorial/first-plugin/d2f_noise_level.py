"""The detector `noise-level`: how strong the noise in a picture is."""

from pydantic import Field

import d2f


class NoiseLevelOptions(d2f.Options):
    smallest: int = Field(default=16, ge=3, description="A picture with a shorter side than this is abstained on.")


class NoiseLevel:
    """Immerkaer, Computer Vision and Image Understanding 64 (1996), doi:10.1006/cviu.1996.0060."""

    name = "noise-level"
    summary = "Logarithm of the noise's standard deviation."
    Options = NoiseLevelOptions
    wants = d2f.WholeImage()

    def __init__(self, options):
        self.options = options

    def score(self, batch):
        return [self.log_noise(pixels) for pixels in batch]

    def log_noise(self, pixels):
        import numpy as np

        if min(pixels.shape[:2]) < self.options.smallest:
            return d2f.Abstention(f"smaller than {self.options.smallest} pixels a side")
        green = pixels[..., 1].astype(float)
        down = green[:-2] - 2 * green[1:-1] + green[2:]
        both = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
        sigma = np.sqrt(np.pi / 2) / 6 * np.abs(both).mean()
        if sigma == 0:
            return d2f.Abstention("no noise at all: flat, or drawn")
        return d2f.Score(float(np.log(sigma)), evidence=f"noise of {sigma:.2f} grey levels")


@d2f.hookimpl
def d2f_detectors():
    return [NoiseLevel]

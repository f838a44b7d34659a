"""Stages that break their contract in one way each: (stage, the check that must fail, words that must stand there)."""

from __future__ import annotations

import os
import pickle
import random
import socket
import time
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from d2f import Abstention, Combination, Evidence, FileBytes, Score
from tests.unit.testing.stages import Contrast, Line, Maker, Means, Shift, Sum, TileContrast, Wide

BROKEN: list[tuple[type, str, str]] = []


def breaks(check: str, words: str) -> Any:
    """List a class as breaking a check."""

    def listed(stage: type) -> type:
        BROKEN.append((stage, check, words))
        return stage

    return listed


class LooseOptions(BaseModel):
    scale: float = 1.0


class WrongDefault(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(default=0.0, gt=0.0, description="What the score is multiplied by.")


class OpaqueOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    Table: object = Field(default=None, description="Anything.")


@breaks("it has what its kind needs", "Options.scale: no description; write Field(description=…)")
class Undescribed(Contrast):
    Options = LooseOptions


@breaks("it has what its kind needs", "name: 'My Detector' is not kebab-case")
class Misnamed(Contrast):
    name = "My Detector"


@breaks("its summary is one short sentence", "end it with a full stop")
class Unstopped(Contrast):
    summary = "Standard deviation"


@breaks("its options are documented", "Table: not in lower case with underscores")
class Opaque(Contrast):
    Options = OpaqueOptions


@breaks("the given options are valid", "option 'scale' must be a number above 0, not 0.0")
class Defaulted(Contrast):
    Options = WrongDefault


@breaks("construction is cheap", "it opened /dev/null")
class Opens(Contrast):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        with open(os.devnull, "rb") as file:
            file.read()


@breaks("construction is cheap", "s of processor time")
class Ponders(Contrast):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        end = time.thread_time() + 0.55
        while time.thread_time() < end:
            pass


@breaks("load() reads its weights", "it unpickled tests.unit.testing.stages.Contrast")
class Unpickles(Contrast):
    def load(self) -> None:
        self.model = pickle.loads(pickle.dumps(Contrast))


@breaks("load() reads its weights", "it called")
class Calls(Contrast):
    def load(self) -> None:
        with socket.socket() as one:
            one.settimeout(0.2)
            one.connect_ex(("127.0.0.1", 9))


@breaks("load() reads its weights", "loading: it raised FileNotFoundError")
class Loses(Contrast):
    def load(self) -> None:
        raise FileNotFoundError("weights.npz")


@breaks("it says what it wants", "wants = 'tiles'")
class Wants(Contrast):
    wants = "tiles"


@breaks("scores are finite, one for each image", "1 outcomes for a batch of 5")
class Short(Contrast):
    def score(self, batch: Any) -> Any:
        return super().score(batch)[:1]


@breaks("scores are finite, one for each image", "which is not a finite number")
class Infinite(Contrast):
    def one(self, pixels: Any) -> Any:
        return float("inf")


@breaks("scores are finite, one for each image", "it abstains on all 5 pictures: an abstention (never)")
class Silent(Contrast):
    def one(self, pixels: Any) -> Any:
        return Abstention("never")


@breaks("scores are finite, one for each image", "'a\\nb' is not one line")
class Talkative(Contrast):
    def one(self, pixels: Any) -> Any:
        return Score(1.0, evidence="a\nb")


@breaks("tiny and blank images are no exception", "on black 64x64: it raised ZeroDivisionError")
class Divides(Contrast):
    def one(self, pixels: Any) -> Any:
        return 1.0 / float(pixels[..., 1].std()) if pixels[..., 1].std() else 1 / 0


@breaks("it prints nothing and warns of nothing", "it warned: RuntimeWarning: divide by zero encountered in log")
class Warns(Contrast):
    def one(self, pixels: Any) -> Any:
        return float(np.maximum(np.log(pixels[..., 1].std()), -99.0))


@breaks("it prints nothing and warns of nothing", "it printed 'scoring'")
class Prints(Contrast):
    def one(self, pixels: Any) -> Any:
        print("scoring")
        return super().one(pixels)


@breaks("it prints nothing and warns of nothing", "it printed 'shifting'")
class PrintsViews(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        print("shifting")
        return pixels


@breaks("tiny and blank images are no exception", "an abstention without a reason")
class Reasonless(Contrast):
    def one(self, pixels: Any) -> Any:
        return super().one(pixels) if pixels.std() else Abstention(" ")


@breaks("scores are finite, one for each image", "work on a copy: what a stage is given is shared")
class Writes(Contrast):
    def one(self, pixels: Any) -> Any:
        pixels -= 1
        return super().one(pixels)


@breaks("what it is given stays as it was", "it changed the random generator of numpy.random")
class Seeds(Contrast):
    def one(self, pixels: Any) -> Any:
        np.random.seed(len(pixels))
        return super().one(pixels)


@breaks("what it is given stays as it was", "it changed the environment")
class Sets(Contrast):
    def one(self, pixels: Any) -> Any:
        os.environ["D2F_TEST_OF_TESTING"] = str(random.random())
        return super().one(pixels)


@breaks("the same image gives the same score", "draw nothing at random")
class Draws(Contrast):
    def one(self, pixels: Any) -> Any:
        return float(np.random.rand())


@breaks("the same image gives the same score", "one instance")
class Differs(Contrast):
    made = 0

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        Differs.made += 1
        self.number = Differs.made

    def one(self, pixels: Any) -> Any:
        return float(self.number)


@breaks("a score does not depend on its neighbours", "on camera 256x256: in a batch")
class Normalises(Contrast):
    def score(self, batch: Any) -> Any:
        scores = np.array([float(pixels.std()) for pixels in batch])
        return (scores - scores.mean()).tolist()


@breaks("a score does not depend on its neighbours", "in order")
class Counts(TileContrast):
    def score(self, batch: Any) -> Any:
        return [float(tile.std()) + place for place, tile in enumerate(batch)]


@breaks("it may be called from threads, as it says", "among four threads")
class Shares(Contrast):
    def one(self, pixels: Any) -> Any:
        self.held = pixels
        time.sleep(0.002)
        return float(self.held.std())


@breaks("it keeps nothing of an image", "more are held after 4 pictures")
class Hoards(Contrast):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.seen: list[Any] = []

    def one(self, pixels: Any) -> Any:
        self.seen.append(pixels.copy())
        return super().one(pixels)


@breaks("tiny and blank images are no exception", "it raised KeyError: 'exif'")
class Metadata(Contrast):
    wants = FileBytes()

    def one(self, pixels: Any) -> Any:
        return 1.0 if pixels.width > 16 and pixels.height > 64 else pixels.info["exif"]


@breaks("every picture becomes a view", "it returned float64, not uint8")
class Floats(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels / 2


@breaks("every picture becomes a view", "on tiny 1x1: it returned shape (0, 0, 3), not (height, width, 3)")
class Halves(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels[: len(pixels) // 2, : pixels.shape[1] // 2]


@breaks("every picture becomes a view", "it raised OverflowError")
class SmallSeeds(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels + np.uint8(np.int32(seed) % 2)


@breaks("the seed is its only randomness", "another view the second time")
class Unseeded(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        return super().apply(pixels, random.getrandbits(32))


@breaks("what it is given stays as it was", "the working folder")
class Wanders(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        os.chdir("/" if os.getcwd() != "/" else "/tmp")
        return pixels


@breaks("it may be called from threads, as it says", "another view among four threads")
class Scratch(Shift):
    def apply(self, pixels: Any, seed: int) -> Any:
        self.held = pixels
        time.sleep(0.002)
        return super().apply(self.held, seed)


@breaks("it fits whatever scores come", "on equal scores: it raised ZeroDivisionError")
class Unguarded(Line):
    @classmethod
    def fit(cls, scores: Any, labels: Any, weights: Any) -> Any:
        return super().fit(scores, labels, weights) if np.ptp(scores) else 1 / 0


@breaks("probabilities rise or fall with the score", "they rise and fall, near the score")
class Bump(Line):
    def probability(self, scores: Any) -> Any:
        return np.exp(-(np.clip(scores, -30, 30) ** 2))


@breaks("a fit finds what is there", "nats above the best")
class Timid(Line):
    def probability(self, scores: Any) -> Any:
        return 0.5 + 0.1 * (super().probability(scores) - 0.5)


@breaks("a fit finds what is there", "with the scores' direction turned it is")
class OneWay(Line):
    @classmethod
    def fit(cls, scores: Any, labels: Any, weights: Any) -> Any:
        found = super().fit(scores, labels, weights)
        return found.model_copy(update={"slope": abs(found.slope)})


@breaks("ratios are finite, whatever members are missing", "on rows with members missing: a ratio of nan")
class Whole(Sum):
    def combine(self, probabilities: Any) -> Any:
        parts = np.log(probabilities) - np.log1p(-probabilities)
        return Combination(parts.sum(axis=1), parts)


@breaks("a row does not depend on the others", "depends on the images beside it")
class Centred(Sum):
    def combine(self, probabilities: Any) -> Any:
        made = super().combine(probabilities)
        return Combination(made.llr - made.llr.mean(), made.contributions)


@breaks("contributions add up", "llr less the sum of contributions lies between")
class Misattributed(Sum):
    def combine(self, probabilities: Any) -> Any:
        made = super().combine(probabilities)
        return Combination(made.llr, made.contributions * 0.5)


@breaks("members may stand in any order", "keep what is fitted by the member's name")
class ByPlace(Sum):
    def combine(self, probabilities: Any) -> Any:
        parts = super().combine(probabilities).contributions * np.arange(1, probabilities.shape[1] + 1)
        return Combination(parts.sum(axis=1), parts)


@breaks("a fit tells the classes apart", "a higher ratio means generated; check the sign")
class Turned(Sum):
    def combine(self, probabilities: Any) -> Any:
        made = super().combine(probabilities)
        return Combination(-made.llr, -made.contributions)


@breaks("one member will do", "fitted to one member: it raised IndexError")
class Pair(Sum):
    def __init__(self, options: Any, members: Any) -> None:
        super().__init__(options, members)
        self.second = members[1]


@breaks("features are finite, one row a picture", "rows of [")
class Ragged(Means):
    def features(self, pixels: Any) -> Any:
        return np.bincount(pixels.ravel()).astype(np.float64)


@breaks("the same picture gives the same features", "draw nothing at random")
class Noisy(Means):
    def features(self, pixels: Any) -> Any:
        return super().features(pixels) + np.random.rand(6)


@breaks("a fit tells the classes apart", "a higher score means generated: labels are 0 and 1")
class Inverted(Means):
    def predict(self, arrays: Any, features: Any) -> Any:
        return -super().predict(arrays, features)


@breaks("what is fitted fits into a weights file", "return arrays of numbers, by name")
class Pickled(Means):
    def fit(self, features: Any, labels: Any, weights: Any, seed: int) -> Any:
        return {**super().fit(features, labels, weights, seed), "model": np.array(["anything"], dtype=object)}


@breaks("findings are statements on one line", "give kind, statement, source and trust one line each")
class Wordless(Maker):
    def read(self, data: bytes, pixels: Any) -> Any:
        return [Evidence("exif", "", "JPEG", "forgeable text")]


@breaks("damaged files raise nothing", "on an empty file: it raised IndexError")
class Trusting(Maker):
    def read(self, data: bytes, pixels: Any) -> Any:
        return super().read(data[1:] + bytes(data[0]), pixels)


@breaks("the same file has the same findings, without a network", "another answer the second time")
class Counting(Maker):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.times = 0

    def read(self, data: bytes, pixels: Any) -> Any:
        self.times += 1
        return [Evidence("exif", f"Read {self.times} times.", "file", "forgeable text")]


@breaks("every image passes, or has a reason why not", "it returned True")
class Bare(Wide):
    def check(self, image: Any) -> Any:
        return image.width >= 8


@breaks("every image passes, or has a reason why not", "give it in one line")
class Speechless(Wide):
    def check(self, image: Any) -> Any:
        return Abstention("")


@breaks("every image passes, or has a reason why not", "be defined for every picture")
class Dividing(Wide):
    def check(self, image: Any) -> Any:
        return Abstention("narrow") if 1 // (image.width - 1) else None


@breaks("its answer depends on the image alone", "another answer the second time")
class Remembering(Wide):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.seen: list[Any] = []

    def check(self, image: Any) -> Any:
        self.seen.append(image.width)
        return Abstention(f"the {len(self.seen)}th image")

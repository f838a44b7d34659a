"""A classifier in onnxruntime: its input found and held to the options, run at one batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from d2f import D2FError, Exit, Problem
from d2f.cores import usable_cores
from d2f.framing import NORMALISATIONS, Framing
from d2f.weights import check_onnx

if TYPE_CHECKING:
    from d2f_onnx.options import OnnxOptions

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
"""Of an input that is given normalised pixels; `tensor(uint8)` is given levels."""

LEVELS = "tensor(uint8)"

PROVIDERS = {"cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider", "cpu": "CPUExecutionProvider"}
"""onnxruntime's names, the first that is there first for `auto`."""

QUIET = 3
"""Of onnxruntime's log: errors alone."""


class Classifier:
    """What an ONNX file computes of views.

    Parameters
    ----------
    data : bytes
        The file.
    options : OnnxOptions
    name : str
        What errors call the file.

    Raises
    ------
    D2FError
        D2F505: the file is refused or damaged. D2F504: its input or output is not as the options say. D2F209: the
        provider that the options name is not there.
    """

    def __init__(self, data: bytes, options: OnnxOptions, name: str) -> None:
        self._name, self._options = name, options
        check_onnx(data, name)
        self._session = _session(data, options.provider, name)
        self._input = self._only_input()
        self._output = self._chosen_output()
        nchw = options.layout == "nchw"
        batch, *rest = self._input.shape
        height, width, channels = (rest[1], rest[2], rest[0]) if nchw else rest
        if channels != 3 and isinstance(channels, int):
            other = "nhwc" if nchw else "nchw"
            note = f"its shape is {_spelled(self._input.shape)}: is the layout {other}, or is it not of colours?"
            raise _fault("D2F504", f"the input of {name} has {channels} channels under layout {options.layout}", note)
        self.batch = batch if isinstance(batch, int) and batch > 0 else 1
        rules = (options.fit, options.resize, options.interpolation, *_scale(options), options.longer, options.offset)
        self.framing = Framing(self._size((height, width)), *rules)

    def __call__(self, framed: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the output of framed views (n, height, width, 3), shape (n, …), run in batches of `batch`."""
        parts = [self._run(framed[start : start + self.batch]) for start in range(0, len(framed), self.batch)]
        return np.concatenate(parts)

    def _run(self, framed: NDArray[np.uint8]) -> NDArray[Any]:
        count = len(framed)
        if count < self.batch:
            framed = np.concatenate([framed, np.zeros((self.batch - count, *framed.shape[1:]), np.uint8)])
        if self._input.type == LEVELS:
            x: NDArray[Any] = framed
        else:
            x = self.framing.normalised(framed).astype(TYPES[self._input.type])
        if self._options.channels == "bgr":
            x = x[..., ::-1]
        if self._options.layout == "nchw":
            x = x.transpose(0, 3, 1, 2)
        (found,) = self._session.run([self._output], {self._input.name: np.ascontiguousarray(x)})
        if len(found) != self.batch:
            message = f"{self._name} gives {len(found)} rows for a batch of {self.batch}"
            raise _fault("D2F504", message, "the output's first dimension must be the batch")
        return np.asarray(found)[:count]

    def _only_input(self) -> Any:
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            told = "; ".join(f"{one.name} {_spelled(one.shape)}" for one in inputs)
            raise _fault("D2F504", f"{self._name} takes no single batch of pictures", f"its inputs: {told}")
        if inputs[0].type not in (*TYPES, LEVELS):
            raise _fault(
                "D2F504", f"the input of {self._name} is {inputs[0].type}", f"known: {', '.join((*TYPES, LEVELS))}"
            )
        return inputs[0]

    def _chosen_output(self) -> str:
        names: list[str] = [one.name for one in self._session.get_outputs()]
        wanted = self._options.output
        if wanted is None and len(names) == 1:
            return names[0]
        if wanted in names:
            return str(wanted)
        what = f"has no output '{wanted}'" if wanted else f"has {len(names)} outputs"
        raise _fault("D2F504", f"{self._name} {what}", f"set the option output to one of {', '.join(names[:8])}")

    def _size(self, stated: tuple[Any, Any]) -> tuple[int, int]:
        """Return height and width: those of the options, which must not contradict those of the file."""
        fixed = [side if isinstance(side, int) and side > 0 else None for side in stated]
        asked = self._options.size
        wanted = (asked, asked) if isinstance(asked, int) else asked
        if wanted is None:
            if None in fixed:
                raise _fault("D2F504", f"{self._name} does not say the size of its input", "set the option size")
            wanted = (int(stated[0]), int(stated[1]))
        if any(side not in (None, want) for side, want in zip(fixed, wanted, strict=True)):
            told = f"{_spelled(fixed)}, not {_spelled(wanted)}"
            raise _fault(
                "D2F504", f"{self._name} takes pictures of (height, width) {told}", "leave the option size out"
            )
        return wanted


def _scale(options: OnnxOptions) -> Any:
    if options.mean is not None:
        return options.mean, options.deviation
    return NORMALISATIONS[options.normalise]


def _session(data: bytes, provider: str, name: str) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = QUIET
    settings.intra_op_num_threads = usable_cores()
    # Never onnxruntime's own format, which the check does not read.
    settings.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(data, settings, providers=_providers(provider))
    except D2FError:
        raise
    except Exception as error:
        first = str(error).splitlines()[0][:200]
        raise _fault("D2F505", f"{name} cannot be loaded by onnxruntime {onnxruntime.__version__}", first) from error


def _providers(wanted: str) -> list[str]:
    there = onnxruntime.get_available_providers()
    if wanted == "auto":
        return [name for name in PROVIDERS.values() if name in there]
    if PROVIDERS[wanted] not in there:
        known = ", ".join(key for key, name in PROVIDERS.items() if name in there)
        note = f"this onnxruntime has: {known}; `provider: auto` takes what is there"
        raise _fault("D2F209", f"onnxruntime has no provider '{wanted}' here", note)
    return list(dict.fromkeys((PROVIDERS[wanted], PROVIDERS["cpu"])))


def _spelled(shape: Any) -> str:
    return "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"


def _fault(code: str, message: str, *notes: str) -> D2FError:
    return D2FError(Problem(code, message, notes=notes), Exit.PLUGIN)

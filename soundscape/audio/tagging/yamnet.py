"""The network that names sounds: YAMNet, a MobileNet trained on AudioSet, run by LiteRT.

The published file takes one window of 15,600 samples (0.975 s at 16 kHz) and answers with 521 scores. Used
as it is, neighbouring windows would each recompute the spectrum they share, and the 1024 numbers before the
last layer could not be read. So the file is opened, checked, and cut in memory at its own seams:

* the front end (periodic Hann window of 400, hop 160, 512-point FFT, 64 mel bands, log) runs in
  `front_end`, once per sample, with the window, the mel matrix and the quantisation read from the file;
* the convolutional part takes any number of windows at a time and answers with the scores and with the
  1024-d embedding (the mean over time and frequency of the last convolution, 0 to 5.7).

Scores agree with the uncut file's to one step of their 8-bit quantisation wherever the float spectrum
rounds alike (tests/audio/tagging/test_yamnet.py). Windows advance by 7,680 samples (0.48 s), as YAMNet was
meant to be used: https://github.com/tensorflow/models/tree/master/research/audioset/yamnet
"""

from __future__ import annotations

import hashlib
import importlib
import threading
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soundscape.audio.tagging.front_end import BANDS, FrontEnd
from soundscape.audio.tagging.front_end import HOP_SAMPLES as FRAME_HOP_SAMPLES
from soundscape.audio.tagging.models import YAMNET, ModelCorrupt, ModelMissing, ModelRuntimeMissing

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 15_600
HOP_SAMPLES = 7_680
HOP_S = HOP_SAMPLES / SAMPLE_RATE
CLASSES = 521
EMBEDDING_SIZE = 1024

_PATCH_FRAMES = 96

# Tensors and operators of the one file whose digest is YAMNET.sha256.
_HANN, _MEL, _LOG_OFFSET, _QUANTIZED, _PATCHES, _EMBEDDING, _SCORES = 11, 22, 23, 28, 30, 115, 119
_FIRST_OPERATOR, _DEQUANTIZE = 15, 46

Float32 = npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def class_names() -> tuple[str, ...]:
    """The 521 AudioSet display names in the order of the network's scores."""
    text = resources.files("soundscape.audio").joinpath("data/audioset_names.txt").read_text("utf-8")
    return tuple(text.splitlines())


class Yamnet:
    """The network, loaded when first used. One instance may be shared by threads: a lock serialises them."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self.path = path
        self._threads = threads
        self._lock = threading.Lock()
        self._interpreter: Any = None
        self._batch = 0

    def load(self) -> None:
        """Load now what `predict` would load when first called.

        Raises `ModelMissing`, `ModelCorrupt` or `ModelRuntimeMissing`.
        """
        with self._lock:
            if self._interpreter is None:
                self._load()

    def predict(self, y: Float32, *, hop_samples: int = HOP_SAMPLES) -> tuple[Float32, Float32]:
        """Scores (n, 521) in 0..1 and embeddings (n, 1024) of the n windows that `y` holds.

        `y`: mono float32 at 16 kHz of 15,600 + (n - 1) x `hop_samples` samples, n >= 1; samples beyond that
        are not used. `hop_samples`: a multiple of 160. Raises what `load` raises, on first use.
        """
        n = 1 + (y.size - WINDOW_SAMPLES) // hop_samples
        if n < 1:
            raise ValueError(f"{y.size} samples do not fill a window of {WINDOW_SAMPLES}")
        with self._lock:
            if self._interpreter is None:
                self._load()
            if self._batch != n:
                self._interpreter.resize_tensor_input(self._input, (n, _PATCH_FRAMES, BANDS, 1))
                self._interpreter.allocate_tensors()
                self._batch = n
            self._interpreter.set_tensor(self._input, self._patches(y, n, hop_samples // FRAME_HOP_SAMPLES))
            self._interpreter.invoke()
            embeddings = self._interpreter.get_tensor(self._outputs[0]).reshape(n, EMBEDDING_SIZE)
            scores = self._interpreter.get_tensor(self._outputs[1]).reshape(n, CLASSES)
        # Both are int8 with a zero point of -128.
        return (
            (scores.astype(np.float32) + 128) * self._score_step,
            (embeddings.astype(np.float32) + 128) * self._embedding_step,
        )

    def _patches(self, y: Float32, n: int, hop_frames: int) -> npt.NDArray[np.int8]:
        frame_count = _PATCH_FRAMES + (n - 1) * hop_frames
        levels = self._front_end.measure(y, frame_count)
        windows = np.lib.stride_tricks.sliding_window_view(levels, _PATCH_FRAMES, axis=0)
        return np.ascontiguousarray(windows[::hop_frames].transpose(0, 2, 1))[..., np.newaxis]

    def _load(self) -> None:
        try:
            flatbuffers = importlib.import_module("flatbuffers")
            schema = importlib.import_module("ai_edge_litert.schema_py_generated")
            runtime = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise ModelRuntimeMissing(
                f"The library that runs models is not installed ({error.name}).",
                remedy="Run `pip install 'soundscape[models]'`.",
            ) from error
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ModelMissing(
                f"{self.path.name} cannot be read: {error.strerror}.",
                remedy=f"Run `soundscape models pull {YAMNET.name}` once.",
            ) from error
        if hashlib.sha256(content).hexdigest() != YAMNET.sha256:
            raise ModelCorrupt(
                f"{self.path.name} is not the model {YAMNET.name}: its SHA-256 differs.",
                remedy=f"Run `soundscape models pull {YAMNET.name}` to replace it.",
            )
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
        graph = model.subgraphs[0]

        def constant(index: int) -> Float32:
            tensor = graph.tensors[index]
            raw = bytes(model.buffers[tensor.buffer].data)
            return np.frombuffer(raw, dtype="<f4").reshape(tensor.shape).astype(np.float32)

        def step(index: int) -> np.float32:
            return np.float32(graph.tensors[index].quantization.scale[0])

        self._front_end = FrontEnd(
            window=constant(_HANN),
            filters=constant(_MEL),
            log_offsets=constant(_LOG_OFFSET),
            step=step(_QUANTIZED),
            zero=np.float32(graph.tensors[_QUANTIZED].quantization.zeroPoint[0]),
        )
        self._embedding_step, self._score_step = step(_EMBEDDING), step(_SCORES)

        graph.operators = graph.operators[_FIRST_OPERATOR:_DEQUANTIZE]
        graph.inputs = np.array([_PATCHES], dtype=np.int32)
        graph.outputs = np.array([_EMBEDDING, _SCORES], dtype=np.int32)
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), b"TFL3")
        self._interpreter = runtime.Interpreter(
            model_content=bytes(builder.Output()), num_threads=self._threads
        )
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]


@lru_cache(maxsize=2)
def _load_shared(path: Path, identity: tuple[int, int, int], threads: int) -> Yamnet:
    return Yamnet(path, threads=threads)


def load_shared(path: Path, *, threads: int = 1) -> Yamnet:
    """One network per file and process, so that loading (0.1 s) happens once; a replaced file loads anew."""
    try:
        stat = path.stat()
    except OSError:
        return Yamnet(path, threads=threads)
    return _load_shared(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns), threads)

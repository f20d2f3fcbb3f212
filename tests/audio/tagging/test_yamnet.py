"""The network in batches against the published file run as it is, one window at a time."""

from __future__ import annotations

import importlib
import io
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.spectrum import MonoSignal
from soundscape.audio.tagging import models, yamnet
from tests.audio import recordings
from tests.audio.tag_model import MODEL, needs_model

pytestmark = needs_model


def read_16k(name: str) -> yamnet.Float32:
    with open_audio(io.BytesIO(recordings.read(name))) as audio:
        mono = MonoSignal(
            sample_rate=audio.header.sample_rate, channels=audio.header.channels, target_rate=16_000
        )
        blocks = [mono.push(block) for block in audio.blocks()]
        return np.concatenate([*blocks, mono.finish()])


@pytest.fixture(scope="module")
def published() -> Any:
    runtime = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = runtime.Interpreter(str(MODEL), num_threads=1)
    interpreter.allocate_tensors()

    def scores(window: yamnet.Float32) -> yamnet.Float32:
        interpreter.set_tensor(0, window)
        interpreter.invoke()
        result: yamnet.Float32 = interpreter.get_tensor(120)[0].copy()
        return result

    return scores


def signals() -> dict[str, yamnet.Float32]:
    random, t = np.random.default_rng(3), np.arange(yamnet.WINDOW_SAMPLES + 9 * yamnet.HOP_SAMPLES) / 16_000
    made = {
        "noise": random.standard_normal(t.size) * 0.1,
        "loud noise": random.standard_normal(t.size),
        "whisper": random.standard_normal(t.size) * 1e-4,
        "tone": np.sin(2 * np.pi * 440 * t) * 0.5,
        "chirp": np.sin(2 * np.pi * (100 * t + 600 * t**2)) * 0.3,
        "silence": np.zeros(t.size),
        "beyond full scale": random.standard_normal(t.size) * 30,
    }
    return {name: y.astype(np.float32) for name, y in made.items()}


RECORDINGS = [
    "speech_b_16k.ogg",
    "vibe_ace.ogg",
    "rain.ogg",
    "birds1.flac",
    "silence.flac",
    "snoring.ogg",
    "train.m4a",
]


@pytest.mark.parametrize("name", [*signals(), *RECORDINGS])
def test_scores_are_the_published_files(name: str, published: Any) -> None:
    y = read_16k(name) if name in RECORDINGS else signals()[name]
    windows = min(24, 1 + (y.size - yamnet.WINDOW_SAMPLES) // yamnet.HOP_SAMPLES)
    y = y[: yamnet.WINDOW_SAMPLES + (windows - 1) * yamnet.HOP_SAMPLES]
    scores, _ = yamnet.Yamnet(MODEL).predict(y)
    hops = range(0, windows * yamnet.HOP_SAMPLES, yamnet.HOP_SAMPLES)
    expected = np.array([published(y[at : at + yamnet.WINDOW_SAMPLES]) for at in hops])
    assert scores.shape == expected.shape == (windows, yamnet.CLASSES)
    # An 8-bit network: where a float spectrum falls on the edge between two levels, FFTs may round apart,
    # and a logit moves by a step or two of 0.35. That may happen, but seldom.
    assert np.mean(scores == expected) > 0.97
    assert np.abs(scores - expected).max() <= 0.18
    assert np.abs(scores - expected).mean() < 5e-4


def test_windows_do_not_depend_on_the_batch() -> None:
    y, network = signals()["noise"], yamnet.Yamnet(MODEL)
    scores, embeddings = network.predict(y)
    for window in range(10):
        at = window * yamnet.HOP_SAMPLES
        alone = network.predict(y[at : at + yamnet.WINDOW_SAMPLES])
        np.testing.assert_array_equal(alone[0][0], scores[window])
        np.testing.assert_array_equal(alone[1][0], embeddings[window])


def test_embedding_explains_the_scores() -> None:
    """The last layer of the network, applied by hand to the embedding, gives its scores."""
    flatbuffers_schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    content = MODEL.read_bytes()
    model = flatbuffers_schema.ModelT.InitFromObj(flatbuffers_schema.Model.GetRootAsModel(content, 0))
    tensors = model.subgraphs[0].tensors
    weight, bias = tensors[116], tensors[117]
    w = np.frombuffer(bytes(model.buffers[weight.buffer].data), np.int8).reshape(521, 1024)
    b = np.frombuffer(bytes(model.buffers[bias.buffer].data), np.int32)
    scores, embeddings = yamnet.Yamnet(MODEL).predict(signals()["chirp"])
    logits = embeddings @ (w * weight.quantization.scale[0]).T + b * bias.quantization.scale[0]
    # A step of the logits is 0.35; half of one, at the sigmoid's steepest.
    assert np.abs(1 / (1 + np.exp(-logits)) - scores).max() < 0.35 / 2 / 4 + 1 / 256
    assert embeddings.min() >= 0
    assert embeddings.max() <= 255 * 0.0224


def test_names_are_the_models_own() -> None:
    with zipfile.ZipFile(MODEL) as attached:
        own = attached.read("yamnet_label_list.txt").decode().split("\n")
    assert list(yamnet.class_names()) == own[:521]
    assert len(set(yamnet.class_names())) == 521


def test_too_few_samples() -> None:
    with pytest.raises(ValueError, match="do not fill a window"):
        yamnet.Yamnet(MODEL).predict(np.zeros(yamnet.WINDOW_SAMPLES - 1, np.float32))


def test_loads_when_first_used_and_refuses_other_bytes(tmp_path: Path) -> None:
    changed = tmp_path / "yamnet.tflite"
    content = bytearray(MODEL.read_bytes())
    content[2_000_000] ^= 1
    changed.write_bytes(content)
    y = np.zeros(yamnet.WINDOW_SAMPLES, np.float32)
    network = yamnet.Yamnet(changed)
    with pytest.raises(models.ModelCorrupt, match="SHA-256"):
        network.predict(y)
    shutil.copy(MODEL, changed)
    assert network.predict(y)[0].shape == (1, 521)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(models.ModelMissing) as raised:
        yamnet.Yamnet(tmp_path / "absent").predict(np.zeros(yamnet.WINDOW_SAMPLES, np.float32))
    assert "soundscape models pull yamnet" in raised.value.remedy


def test_missing_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(models.ModelRuntimeMissing) as raised:
        yamnet.Yamnet(MODEL).predict(np.zeros(yamnet.WINDOW_SAMPLES, np.float32))
    assert raised.value.remedy == "Run `pip install 'soundscape[models]'`."


def test_threads_share_one_network() -> None:
    network, y = yamnet.Yamnet(MODEL), signals()["noise"]
    expected = network.predict(y)[0]
    results: list[bool] = []

    def use(size: int) -> None:
        for _ in range(5):
            part = y[: yamnet.WINDOW_SAMPLES + (size - 1) * yamnet.HOP_SAMPLES]
            results.append(np.array_equal(network.predict(part)[0], expected[:size]))

    threads = [threading.Thread(target=use, args=(size,)) for size in (1, 4, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 15


def test_shared_network_is_one_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "yamnet.tflite"
    shutil.copy(MODEL, path)
    first = yamnet.load_shared(path)
    assert yamnet.load_shared(path) is first
    path.write_bytes(b"something else")
    assert yamnet.load_shared(path) is not first


def test_importing_loads_no_runtime() -> None:
    code = (
        "import sys, soundscape.audio.tagging.tagger; "
        "print([m for m in ('ai_edge_litert', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

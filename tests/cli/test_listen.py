"""`soundscape listen` against a running project: a file and standard input as if live."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from soundscape.cli.embedded_project import Project
from tests.live.test_live import make_sound
from tests.waiting import LIMIT_S

PASSWORD = "correct horse battery staple"
EMAIL = "listener@example.com"


LISTEN = (sys.executable, "-m", "soundscape", "listen")


def sign_up(project: Project) -> None:
    httpx.post(
        f"{project.url}/auth/v1/signup",
        json={"email": EMAIL, "password": PASSWORD},
        headers={"apikey": project.keys.publishable_key},
        timeout=LIMIT_S,
    )


def environment(project: Project) -> dict[str, str]:
    signs_in = {"SOUNDSCAPE_EMAIL": EMAIL, "SOUNDSCAPE_PASSWORD": PASSWORD}
    return os.environ | project.environment() | signs_in


def run(project: Project, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    sign_up(project)
    return subprocess.run(
        [*LISTEN, *arguments],
        input=data,
        env=environment(project),
        capture_output=True,
        check=False,
        timeout=LIMIT_S,
    )


def write_wave(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        file.writeframes(make_sound(seconds))


def answers_of(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in io.BytesIO(done.stdout)]


def test_a_file_is_sent_as_if_live(embedded: Project, tmp_path: Path) -> None:
    write_wave(tmp_path / "a.wav", 1.5)
    answers = answers_of(
        run(embedded, str(tmp_path / "a.wav"), "--json", "--features", "levels", "--title", "Sent")
    )
    kinds = [answer["type"] for answer in answers]
    assert kinds[0] == "started"
    assert {"levels", "record", "saved"} < set(kinds)
    assert answers[-1] == {"type": "stopped", "reason": "stopped", "duration_s": 1.5}


def test_standard_input_is_samples(embedded: Project) -> None:
    answers = answers_of(
        run(embedded, "-", "--channels", "2", "--json", "--features", "levels", data=make_sound(0.7))
    )
    assert answers[-1]["duration_s"] == pytest.approx(0.7)


def test_readings_are_shown_in_the_terminal(embedded: Project, tmp_path: Path) -> None:
    write_wave(tmp_path / "a.wav", 1.2)
    done = run(embedded, str(tmp_path / "a.wav"))
    shown = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "LUFS" in shown
    assert "1.2 s" in shown


def test_a_refusal_is_a_sentence(embedded: Project) -> None:
    done = run(embedded, "-", "--features", "mood", data=make_sound(0.2))
    assert done.returncode == 2
    assert b"bad_message" in done.stderr


def test_a_device_of_ffmpeg_is_listened_to(embedded: Project) -> None:
    """lavfi makes its own sound: it is opened, read and resampled as a microphone is."""
    answers = answers_of(
        run(
            embedded,
            *("--device", "lavfi:sine=frequency=440:sample_rate=48000:duration=1.5", "--json"),
            *("--features", "levels,pitch"),
        )
    )
    pitches = [answer["frequency_hz"] for answer in answers if answer["type"] == "pitch"]
    assert pitches[-1] == pytest.approx(440, rel=0.01)
    assert answers[-1] == {"type": "stopped", "reason": "stopped", "duration_s": 1.5}


needs_alsa = pytest.mark.skipif("alsa" not in av.formats_available, reason="PyAV has no ALSA here")


@pytest.fixture
def alsa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An input of ALSA that needs no card, in settings of its own. Silence comes from it, without an end."""
    settings = tmp_path / "asound.conf"
    settings.write_text('pcm.quiet { type null hint { show on description "A quiet input" } }\n')
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(settings))
    return "quiet"


@needs_alsa
def test_a_microphone_is_listened_to_until_it_is_interrupted(embedded: Project, alsa: str) -> None:
    sign_up(embedded)
    with subprocess.Popen(
        [*LISTEN, "--device", alsa, "--json", "--features", "levels"],
        env=environment(embedded),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["type"] == "levels":
                process.send_signal(signal.SIGINT)
                break
        answers = [json.loads(line) for line in process.stdout]
        assert process.wait(LIMIT_S) == 0
    kinds = [answer["type"] for answer in answers]
    assert "record" in kinds
    assert answers[-1]["reason"] == "stopped"


def test_an_interrupt_ends_a_session_whose_input_is_silent(embedded: Project) -> None:
    """Nothing comes from the pipe, and its end does not come either."""
    sign_up(embedded)
    with subprocess.Popen(
        [*LISTEN, "-", "--channels", "2", "--json", "--features", "levels"],
        env=environment(embedded),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(make_sound(0.5))
        process.stdin.flush()
        for line in process.stdout:
            if json.loads(line)["type"] == "levels":
                process.send_signal(signal.SIGINT)
                break
        answers = [json.loads(line) for line in process.stdout]
        assert process.wait(LIMIT_S) == 0
    assert "record" in [answer["type"] for answer in answers]
    assert answers[-1]["reason"] == "stopped"


@needs_alsa
def test_inputs_are_listed(embedded: Project, alsa: str) -> None:
    done = run(embedded, "--devices", "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert {"name": alsa, "description": "A quiet input"} in json.loads(done.stdout)


def test_an_input_that_is_not_there_is_a_sentence_with_a_remedy(embedded: Project) -> None:
    done = run(embedded, "--device", "no such input")
    assert done.returncode == 2
    assert b"device_unavailable" in done.stderr
    assert b"soundscape listen --devices" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("a.wav", "--device", "default")])
def test_one_source_is_named(embedded: Project, arguments: tuple[str, ...]) -> None:
    done = run(embedded, *arguments)
    assert done.returncode == 2
    assert b"--device" in done.stderr

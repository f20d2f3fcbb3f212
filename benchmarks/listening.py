"""What the records of real recordings say, as the Markdown table of docs/audio/listening.md.

python benchmarks/listening.py ../shared/audio --models-dir ../shared/models
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from soundscape.audio import Record, analyze

# The list of licences says only that these are copies.
_WHAT = {
    "ambi_lunar_land.flac": "ambient pad",
    "bass_voxy_c.flac": "bass note on C",
    "drum_cymbal_open.flac": "open cymbal",
    "loop_amen.flac": "drum break (Amen)",
    "loop_breakbeat.flac": "drum break",
    "vinyl_hiss.flac": "hiss and crackle of a record",
}


def described(folder: Path) -> dict[str, str]:
    """What each file is, from the list of licences that lies beside them."""
    text = (folder / "LICENSES.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: re.sub(r" \(byte-exact copy\)", "", row[-1]) for row in rows} | _WHAT


def row(name: str, what: str, record: Record) -> str:
    loudness, rhythm, tonality, spectral = record.loudness, record.rhythm, record.tonality, record.spectral
    assert loudness is not None
    assert rhythm is not None
    assert tonality is not None
    strongest: dict[str, float] = {}
    for tag in record.tags or ():
        length_s = tag.end_s - tag.start_s
        strongest[tag.label] = strongest.get(tag.label, 0.0) + tag.confidence * length_s
    heard = sorted(strongest, key=lambda label: -strongest[label])[:4]
    cells = [
        f"`{name}`",
        what,
        f"{record.source.duration_s:.1f}",
        "—" if loudness.integrated_lufs is None else f"{loudness.integrated_lufs:.1f}",
        "—" if loudness.true_peak_dbtp is None else f"{loudness.true_peak_dbtp:.1f}",
        "—" if spectral is None else f"{spectral.centroid_hz.median:.0f}",
        "none" if rhythm.tempo_bpm is None else f"{rhythm.tempo_bpm:.1f} ({rhythm.tempo_confidence:.2f})",
        f"{rhythm.onset_rate_hz:.1f}",
        "none" if tonality.key is None else f"{tonality.key} {tonality.mode} ({tonality.confidence:.2f})",
        "; ".join(heard) if heard else "—",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models-dir", type=Path)
    options = parser.parse_args()
    what = described(options.folder)
    print("| file | what it is | s | LUFS | dBTP | centroid Hz | tempo BPM | onsets/s | key | heard |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in sorted(options.folder.iterdir()):
        if path.suffix != ".md":
            print(row(path.name, what.get(path.name, ""), analyze(path, models_dir=options.models_dir)))


if __name__ == "__main__":
    main()

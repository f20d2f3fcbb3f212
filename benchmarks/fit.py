"""How long does `soundscape recommend fit` take, the whole command against a whole project?

    .venv/bin/python benchmarks/fit.py [--people 2000] [--recordings 3000] [--choices 70000]

An embedded Supabase is filled with made choices (likes, listening and playlists; benchmarks/made_choices.py)
and embeddings that tell of the same taste with as much noise. Then the command runs twice, as an operator
would type it: the second time there is a model in force to be compared with.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import embedded
from tests.recommend.library import fill


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--recordings", type=int, default=3000)
    parser.add_argument("--choices", type=int, default=70_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Postgres runs as a user of its own where this runs as root.
        Path(folder).chmod(0o711)
        with embedded.served(Path(folder) / "project", with_worker=False) as project:
            fill(
                project.db_url,
                people=options.people,
                items=options.recordings,
                choices=options.choices,
                rank=16,
            )
            environment = os.environ | {
                "SUPABASE_URL": project.url,
                "SUPABASE_SECRET_KEY": project.keys.secret_key,
            }
            for _ in range(2):
                began = time.perf_counter()
                command = [sys.executable, "-m", "soundscape", "recommend", "fit"]
                status = subprocess.run(command, env=environment, check=False).returncode
                took_s = time.perf_counter() - began
                print(f"the whole command {took_s:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)
                if status:
                    return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A project with people who chose recordings, as a year of use would leave it."""

from __future__ import annotations

from uuid import UUID, uuid5

import numpy as np
import psycopg

from benchmarks.made_choices import made
from soundscape.recommend.interactions import Interactions

SPACE = "yamnet-128-v3"
NAMES = UUID(int=0x50)


def named(kind: str, name: str) -> str:
    """The id of a person or a recording of the made data."""
    return str(uuid5(NAMES, f"{kind} {name}"))


def fill(dsn: str, *, people: int, items: int, choices: int, rank: int = 8) -> Interactions:
    """Write made choices as likes, listening and playlists of a project; every recording is public."""
    interactions, features = made(people, items, choices, rank=rank)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    owner = named("owner", "")
    users = [named("user", name) for name in interactions.users]
    recordings = [named("item", name) for name in interactions.items]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into auth.users (id, email) values (%s, %s)",
            [(user, f"{user}@example.com") for user in [owner, *users]],
        )
        cursor.executemany(
            "insert into public.audio_files"
            " (id, user_id, title, file_path, is_public, duration, status, analysis_version)"
            " values (%s, %s, 'A sound', 'public/' || %s, true, 100, 'ready', 'made')",
            [(recording, owner, recording) for recording in recordings],
        )
        cursor.executemany(
            "insert into public.audio_embeddings (audio_id, user_id, is_listed, space, embedding)"
            " values (%s, %s, true, %s, %s::vector::halfvec)",
            [
                (recording, owner, SPACE, str(place.tolist()))
                for recording, place in zip(recordings, features, strict=True)
            ],
        )
        cursor.executemany(
            "insert into public.playlists (id, user_id, title) values (%s, %s, 'Mine')",
            [(named("list", user), user) for user in users],
        )
        pairs = [(users[u], recordings[i]) for u, i in zip(interactions.user, interactions.item, strict=True)]
        liked, heard, kept = pairs[::2], pairs[1::4], pairs[3::4]
        cursor.executemany("insert into public.likes (user_id, audio_id) values (%s, %s)", liked)
        cursor.executemany(
            "insert into public.listening_events (user_id, audio_id, listened_s) values (%s, %s, 80)",
            heard,
        )
        # One statement a playlist: each append locks it.
        cursor.executemany(
            "insert into public.playlist_items (playlist_id, audio_id) values (%s, %s)",
            [(named("list", user), recording) for user, recording in kept],
        )
    return interactions

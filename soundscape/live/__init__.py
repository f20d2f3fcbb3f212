"""Live listening: sessions that hear a sound while it sounds, without the socket that brings it.

`session` is one sound; `sessions` holds all of this worker. A session is fed with bytes and answers with
messages (`messages`), which wait in an `outbox` until the socket takes them. `endings` lists how it ends.
"""

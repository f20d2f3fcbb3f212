"""Captions: seen with their recording, and decided by its owner alone. No model is asked."""

from __future__ import annotations

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals

TABLE = "audio_captions"
TEXT = "A check, in words."


async def check_captions(session: CheckSession) -> None:
    """Test that an owner writes a caption, and that it is seen where the recording is seen."""
    owner, stranger, nobody = session.owner.client, session.stranger.client, await session.anonymous()
    public, private = session.blank["id"], session.row["id"]
    for audio_id in (public, private):
        await owner.rpc("set_captions", {"recording": audio_id, "wanted": False}).execute()
        caption = {"recording": audio_id, "caption": TEXT, "keywords": ["check"]}
        await owner.rpc("replace_caption", caption).execute()
    for who, client in (("its owner", owner), ("another user", stranger), ("nobody", nobody)):
        rows = await select_rows(client, TABLE, "audio_id", public)
        if [row["caption"] for row in rows] != [TEXT]:
            raise CapabilityBroken(f"The caption of a public recording: {who} does not see it.")
    await require_refusals(
        TABLE,
        {
            "another user reads a private recording's": select_rows(stranger, TABLE, "audio_id", private),
            "nobody reads a private recording's": select_rows(nobody, TABLE, "audio_id", private),
            "its owner writes past the functions": run_query(
                owner.table(TABLE).update({"caption": "x"}).eq("audio_id", public)
            ),
        },
    )

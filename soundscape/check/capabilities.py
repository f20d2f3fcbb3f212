"""What a check tries, one function a capability, in the order in which users would."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from soundscape.check import access, moderation, people, project, recording
from soundscape.check import user_data as belongings
from soundscape.check.runner import Capability
from soundscape.check.session import Visit


def capabilities(visit: Visit) -> list[Capability]:
    """Everything but the clean-up, in order; each names what it needs."""
    address = "Check SUPABASE_URL; restore the project if it is paused."
    clock = "Set this machine's clock: signatures and tokens carry times."
    key = "Copy the key from the project's settings (API keys)."
    confirm = "Turn off Confirm email in the project's Auth settings, or deploy: a trigger may fail."
    worker = "Start the worker with this project's URL and secret key; its log says what it lacks."
    hook = (
        "Switch the hook on: Authentication → Hooks → Customize Access Token, function "
        "public.custom_access_token_hook; or supabase config push; or deploy with SUPABASE_ACCESS_TOKEN. "
        "If it is on: soundscape deploy --repair."
    )
    leak = "Somebody gets what they should not. Run soundscape deploy --repair now."

    def tried(attempt: Callable[[Visit], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        return lambda: attempt(visit)

    return [
        Capability("project", (), tried(project.answers), address),
        Capability("clocks", ("project",), tried(project.clocks), clock),
        Capability("public key", ("project",), tried(project.public_key), key),
        Capability("secret key", ("project",), tried(project.secret_key), key),
        Capability("extensions", ("project",), tried(project.extensions)),
        Capability("sign up", ("public key",), tried(people.sign_up), confirm),
        Capability("sign in", ("sign up",), tried(people.sign_in)),
        Capability("role claim", ("sign in",), tried(people.role_claim), hook),
        Capability("profile", ("sign in",), tried(people.profile)),
        Capability("profile image", ("sign in",), tried(people.profile_image)),
        Capability("waveforms bucket", ("sign in",), tried(recording.waveforms_bucket)),
        Capability("upload", ("sign in", "extensions"), tried(recording.upload)),
        Capability("describe", ("upload", "profile"), tried(recording.describe)),
        Capability("worker", ("describe",), tried(recording.worker), worker),
        Capability("doorbell", ("worker",), tried(recording.doorbell)),
        Capability("analysis", ("worker", "waveforms bucket"), tried(recording.analysis), worker),
        Capability("realtime", ("analysis",), tried(recording.realtime)),
        Capability("notification", ("analysis",), tried(recording.notification)),
        Capability("features", ("analysis",), tried(recording.features)),
        Capability("waveform", ("features",), tried(recording.waveform)),
        Capability("signed URL", ("describe",), tried(recording.signed_url)),
        Capability("private", ("features",), tried(access.private), leak),
        Capability("public row", ("describe",), tried(belongings.public_row)),
        Capability("publish", ("private", "public row", "waveform", "signed URL"), tried(access.publish)),
        Capability("functions", ("features",), tried(access.rpc)),
        Capability("worker's functions", ("sign in",), tried(access.closed), leak),
        Capability("likes", ("public row",), tried(belongings.likes)),
        Capability("listening", ("public row",), tried(belongings.listening)),
        Capability("impressions", ("public row", "secret key"), tried(belongings.impressions)),
        Capability("preferences", ("sign in",), tried(belongings.preferences)),
        Capability("playlists", ("public row",), tried(belongings.playlists)),
        Capability("reports", ("public row",), tried(belongings.reports)),
        Capability("findings", ("public row", "secret key"), tried(moderation.findings)),
        Capability("roles", ("sign in", "secret key"), tried(moderation.roles)),
        Capability("moderation", ("roles", "reports"), tried(moderation.moderation)),
        Capability("sweep", ("extensions",), tried(project.sweep)),
        Capability("delete", ("describe",), tried(recording.delete)),
    ]


def clean_up(visit: Visit) -> Capability:
    """Always last, whatever came before."""
    return Capability(
        "clean-up", ("secret key",), visit.clean_up, "Delete the users check-…@example.com by hand."
    )

"""The capabilities that a check tests, in the order in which users meet them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from soundscape.check import (
    access,
    api_keys,
    captions,
    flags,
    licences,
    moderation,
    notifications,
    objects,
    people,
    project,
    recording,
    statistics,
    topics,
    user_data,
)
from soundscape.check.capability import Capability
from soundscape.check.session import CheckSession


def list_capabilities(session: CheckSession) -> list[Capability]:
    """Return every capability but the clean-up. Each one names those it needs."""
    address = "Check SUPABASE_URL. If the project is paused, restore it."
    clock = "Set this machine's clock. Signatures and tokens carry the time."
    key = "Copy the key from the project's settings (API keys)."
    confirm = (
        "Turn off Confirm email in the project's Auth settings. If it is off, run soundscape deploy: "
        "a trigger may fail."
    )
    worker = "Start the worker with this project's URL and secret key. Its log says what is missing."
    hook = (
        "Switch the hook on in the dashboard (Authentication → Hooks → Customize Access Token, function "
        "public.custom_access_token_hook), or with supabase config push, or by deploying with "
        "SUPABASE_ACCESS_TOKEN. If it is on, run soundscape deploy --repair."
    )
    leak = "Somebody can reach what they should not. Run soundscape deploy --repair now."

    def in_session(test: Callable[[CheckSession], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        return lambda: test(session)

    return [
        Capability("project", (), in_session(project.check_address), address),
        Capability("clocks", ("project",), in_session(project.check_clocks), clock),
        Capability("public key", ("project",), in_session(project.check_public_key), key),
        Capability("secret key", ("project",), in_session(project.check_secret_key), key),
        Capability("extensions", ("project",), in_session(project.check_extensions)),
        Capability("sign up", ("public key",), in_session(people.sign_up), confirm),
        Capability("sign in", ("sign up",), in_session(people.sign_in)),
        Capability("role claim", ("sign in",), in_session(people.check_role_claim), hook),
        Capability("profile", ("sign in",), in_session(people.check_profile)),
        Capability("profile image", ("sign in",), in_session(people.check_profile_image)),
        Capability("waveforms bucket", ("sign in",), in_session(recording.check_waveforms_bucket)),
        Capability("upload", ("sign in", "extensions"), in_session(recording.upload)),
        Capability("describe", ("upload", "profile"), in_session(recording.describe)),
        Capability("worker", ("describe",), in_session(recording.check_worker), worker),
        Capability("doorbell", ("worker",), in_session(recording.check_doorbell)),
        Capability("analysis", ("worker", "waveforms bucket"), in_session(recording.check_analysis), worker),
        Capability("realtime", ("analysis",), in_session(recording.check_realtime)),
        Capability("topics", ("describe",), in_session(topics.check_topics)),
        Capability("notification", ("analysis",), in_session(recording.check_notification)),
        Capability("features", ("analysis",), in_session(recording.check_features)),
        Capability("waveform", ("features",), in_session(recording.check_waveform)),
        Capability("signed URL", ("describe",), in_session(recording.check_signed_url)),
        Capability("private", ("features",), in_session(access.check_private), leak),
        # Before publish: the worker renames what is private again.
        Capability(
            "names",
            ("describe", "profile image", "waveforms bucket", "secret key"),
            in_session(objects.check_names),
            leak,
        ),
        Capability(
            "copies",
            ("waveform", "profile image", "waveforms bucket", "secret key"),
            in_session(objects.check_copies),
            leak,
        ),
        Capability("public row", ("describe",), in_session(user_data.check_public_row)),
        Capability(
            "publish",
            ("private", "public row", "waveform", "signed URL"),
            in_session(access.check_publishing),
        ),
        # Where a row is not visible at all, nothing is counted and nothing refused.
        Capability("counts", ("profile", "public row"), in_session(access.check_counts)),
        Capability("functions", ("features",), in_session(access.check_functions)),
        Capability("worker's functions", ("sign in",), in_session(access.check_worker_functions), leak),
        Capability("licences", ("public row",), in_session(licences.check_licences)),
        Capability("likes", ("public row",), in_session(user_data.check_likes)),
        Capability("listening", ("public row",), in_session(user_data.check_listening)),
        Capability("captions", ("public row",), in_session(captions.check_captions)),
        Capability("flags", ("sign in", "secret key"), in_session(flags.check_flags)),
        Capability("statistics", ("public row", "secret key"), in_session(statistics.check_statistics), leak),
        Capability("impressions", ("public row", "secret key"), in_session(user_data.check_impressions)),
        Capability("preferences", ("sign in",), in_session(user_data.check_preferences)),
        Capability("notification preferences", ("sign in",), in_session(notifications.check_preferences)),
        Capability("push subscriptions", ("sign in",), in_session(notifications.check_push_subscriptions)),
        Capability("e-mail", ("worker",), in_session(notifications.check_mail)),
        Capability("web push", ("worker",), in_session(notifications.check_push)),
        Capability("exports", ("sign in",), in_session(user_data.check_exports)),
        Capability("playlists", ("public row",), in_session(user_data.check_playlists)),
        Capability("reports", ("public row",), in_session(user_data.check_reports)),
        Capability("API keys", ("counts", "secret key"), in_session(api_keys.check_api_keys), leak),
        Capability("account deletion", ("profile",), in_session(people.check_account_deletion), leak),
        Capability("findings", ("public row", "secret key"), in_session(moderation.check_findings)),
        Capability("roles", ("sign in", "secret key"), in_session(moderation.check_roles)),
        Capability("moderation", ("roles", "reports"), in_session(moderation.check_moderation)),
        Capability("sweep", ("extensions",), in_session(project.check_sweep)),
        Capability("delete", ("describe",), in_session(recording.delete)),
    ]


def make_clean_up(session: CheckSession) -> Capability:
    """Return the clean-up, which always comes last."""
    return Capability(
        "clean-up",
        ("secret key",),
        session.clean_up,
        "Delete the users check-…@example.com by hand: Authentication → Users in the dashboard.",
    )

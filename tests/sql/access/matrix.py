"""Who may do what: the whole of it, row by row.

A cell is one actor and one action. A rule says in words for whom the action works, and what the rest get:
"owner, worker; anonymous refused; rest nothing". Actors without a word may do it. *refused* is an error
(42501). *nothing* means that no row is theirs to see or change. *not asked* is no cell. *signed in* stands for
owner, other, moderator and admin.
"""

# ruff: noqa: E501 - a table is read across
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ACTORS = ("anonymous", "owner", "other", "moderator", "admin", "worker")
GROUPS = {"all": ACTORS, "signed in": ("owner", "other", "moderator", "admin")}
ACTIONS = ("select", "insert", "update", "delete")


def _id(tail: str) -> str:
    return "00000000-0000-4000-8000-" + tail.rjust(12, "0")


# The placeholders of the statements below; the rows are in world.sql.
NAMES = {
    "owner": _id("1"), "other": _id("2"), "moderator": _id("3"), "admin": _id("4"), "bare": _id("5"), "ghost": _id("6"), "closed": _id("7"),
    "private": _id("a"), "public": _id("b"), "hidden": _id("c"), "theirs": _id("d"), "theirs_private": _id("e"),
    "public_list": _id("b0"), "private_list": _id("a0"), "private_match": _id("aa"), "public_match": _id("bb"), "report": _id("1d"), "report_of_public": _id("1b"), "turn": _id("1f"), "notification": _id("1e"),
    "waiting": _id("f7"), "export": _id("c1"), "running_export": _id("c2"), "past_export": _id("c3"), "export_token": _id("c4"), "api_key": _id("91"), "subscription": _id("92"),
    "zeros": "0" * 64, "vector": "[" + ",".join(["0.5"] * 128) + "]",
}  # fmt: skip

# Sessions of the owner's API keys, by the claim `session_id`. The key of the last one was deleted.
SESSIONS = {
    "read key": _id("81"),
    "upload key": _id("82"),
    "all key": _id("83"),
    "revoked key": _id("84"),
    "expired key": _id("85"),
    "deleted key": _id("86"),
}

ROLES = {"anonymous": "anon", "worker": "service_role", "auth": "supabase_auth_admin"}


@dataclass(frozen=True)
class Cell:
    """One actor doing one thing, and what comes of it."""

    subject: str
    """The table or function, with its schema."""
    what: str
    actor: str
    statement: str
    expected: str


OUTCOMES = ("refused", "nothing", "not asked")


def outcomes(rule: str) -> Iterator[tuple[str, str]]:
    """Each actor that a rule asks about, and whether it `works`, is `refused` or gives `nothing`."""
    told: dict[str, str] = {}
    for clause in filter(None, rule.split("; ")):
        who, outcome = clause, "works"
        for word in OUTCOMES:
            if clause.endswith(f" {word}"):
                who, outcome = clause.removesuffix(f" {word}"), word
        actors = [actor for name in who.split(", ") for actor in GROUPS.get(name, (name,))]
        if who == "rest":
            actors = [actor for actor in ACTORS if actor not in told]
        assert set(actors) <= set(ACTORS), rule
        assert not set(actors) & set(told), rule
        told |= dict.fromkeys(actors, outcome)
    assert not rule or set(told) == set(ACTORS), rule
    return ((actor, told[actor]) for actor in ACTORS if told.get(actor, "not asked") != "not asked")


@dataclass(frozen=True)
class Row:
    """One row of a table against all actions: where it is, and how it is inserted and changed."""

    table: str
    name: str
    where: str
    select: str = ""
    insert: str = ""
    update: str = ""
    delete: str = ""
    values: str = ""
    """What `insert into` needs for a row like this one."""
    change: str = ""
    """What `set` needs."""
    columns: str = "*"
    """What is selected."""

    def cells(self) -> Iterator[Cell]:
        statements = {
            "select": f"select {self.columns} from {self.table} where {self.where}",
            "insert": f"insert into {self.table} {self.values}",
            "update": f"update {self.table} set {self.change} where {self.where}",
            "delete": f"delete from {self.table} where {self.where}",
        }
        for action in ACTIONS:
            for actor, expected in outcomes(getattr(self, action)):
                what = f"{action} {self.name}"
                yield Cell(self.table, what, actor, statements[action], expected)


def _measured(table: str, columns: str, values: str, change: str) -> tuple[Row, ...]:
    """A table of what analysis found: seen with its recording, written by the worker."""
    name = f"public.{table}"
    insert = f"({columns}) select {values} from public.audio_files f where f.id = {{theirs}}"
    return (
        Row(name, "of a private recording", "audio_id = {private}",
            select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest refused",
            delete="worker; rest refused",
            values=insert, change=change),
        Row(name, "of a public recording", "audio_id = {public}",
            select="all", update="worker; rest refused", delete="worker; rest refused",
            values="", change=change),
        Row(name, "of a hidden recording", "audio_id = {hidden}",
            select="owner, moderator, admin, worker; rest nothing", update="worker; rest refused",
            delete="worker; rest refused",
            values="", change=change),
        Row(name, "of a closed account", "user_id = {closed}", select="worker; rest nothing"),
    )  # fmt: skip


TABLES: tuple[Row, ...] = (
    Row("public.users", "owner's profile", "id = {owner}",
        select="all", insert="worker; rest refused", update="owner, worker; anonymous refused; rest nothing",
        delete="worker; rest refused",
        values="(id) values ({ghost})", change="bio = 'b'"),
    Row("public.users", "closed account's profile", "id = {closed}",
        select="worker; rest nothing"),
    Row("public.audio_files", "of a closed account", "user_id = {closed}",
        select="worker; rest nothing"),
    Row("public.playlists", "of a closed account", "user_id = {closed}",
        select="worker; rest nothing"),
    Row("public.users", "owner's id", "id = {owner}",
        update="worker not asked; rest refused",
        change="id = {ghost}"),
    Row("public.user_preferences", "owner's", "user_id = {owner}",
        select="owner, worker; anonymous refused; rest nothing", insert="worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing", delete="worker; rest refused",
        values="(user_id) values ({bare})", change="theme = 'dark'"),
    # Statements that read no column meet no SELECT policy: these are for the others alone.
    Row("public.user_preferences", "whose they are", "true",
        update="worker not asked; rest refused",
        change="user_id = {bare}"),
    Row("public.user_preferences", "all", "true",
        update="owner, moderator, admin, worker; other nothing; rest refused",
        change="theme = 'dark'"),
    Row("public.user_roles", "moderator's", "user_id = {moderator}",
        select="moderator, admin, worker; anonymous refused; rest nothing", insert="admin, worker; rest refused",
        update="worker; rest refused", delete="admin, worker; anonymous refused; rest nothing",
        values="(user_id, role) values ({other}, 'moderator')", change="role = 'admin'"),
    Row("public.user_roles", "own", "user_id = {owner}",
        insert="admin, worker; rest refused",
        values="(user_id, role) values ({owner}, 'admin')"),
    Row("public.role_permissions", "any", "role = 'moderator' and permission = 'reports.handle'",
        select="signed in, worker; rest refused", insert="all refused", update="all refused",
        delete="all refused",
        values="(role, permission) values ('user', 'roles.assign')", change="role = 'user'"),
    Row("public.audio_files", "private", "id = {private}",
        select="owner, worker; rest nothing", insert="owner, worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, title, file_path) values ({owner}, 't', 'public/new.wav')", change="title = 't'"),
    Row("public.audio_files", "public", "id = {public}",
        select="all", insert="owner, worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, title, file_path, is_public) values ({owner}, 't', 'public/new.wav', true)",
        change="is_public = false"),
    Row("public.audio_files", "hidden", "id = {hidden}",
        select="owner, moderator, admin, worker; rest nothing", insert="worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, title, file_path, hidden_at, hidden_reason) values ({owner}, 't', 'public/new.wav', now(), 'r')",
        change="is_public = true"),
    Row("public.audio_files", "status", "id = {public}",
        update="worker; rest refused",
        change="status = status"),
    Row("public.audio_files", "hidden_at", "id = {hidden}",
        update="worker; rest refused",
        change="hidden_at = null, hidden_reason = null"),
    Row("public.audio_files", "owner", "id = {public}",
        update="worker; rest refused",
        change="user_id = {other}"),
    *_measured("audio_features",
        "audio_id, user_id, is_listed, object_version, analysis_version, duration_s, sha256, waveform_path, descriptors",
        "f.id, f.user_id, f.is_listed, '1', '1', 1, {zeros}, 'w', '{{}}'", "tempo_bpm = 60"),
    *_measured("audio_tags", "audio_id, user_id, is_listed, label, confidence, start_s, end_s",
        "f.id, f.user_id, f.is_listed, 'Music', 1, 0, 1", "confidence = 1"),
    *_measured("audio_embeddings", "audio_id, user_id, is_listed, space, embedding",
        "f.id, f.user_id, f.is_listed, 's', {vector}::extensions.halfvec", "space = 's'"),
    Row("public.audio_matches", "of a private recording", "audio_id = {private}",
        select="owner, moderator, admin, worker; rest nothing", insert="worker; rest refused",
        update="worker; rest refused", delete="worker; rest refused",
        values="(audio_id, matched_audio_id, kind, confidence) values ({private}, {theirs_private}, 'identical', 1)",
        change="confidence = 1"),
    Row("public.audio_matches", "of public ones", "audio_id = {public}",
        select="all", insert="worker; rest refused", update="worker; rest refused",
        delete="worker; rest refused",
        values="(audio_id, matched_audio_id, kind, confidence) values ({public}, {theirs_private}, 'identical', 1)",
        change="confidence = 1"),
    Row("public.audio_matches", "of a hidden one", "audio_id = {hidden}",
        select="owner, moderator, admin, worker; rest nothing", update="worker; rest refused",
        delete="worker; rest refused",
        change="confidence = 1"),
    Row("public.playlists", "private", "id = {private_list}",
        select="owner, worker; rest nothing", insert="owner, worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, title) values ({owner}, 't')", change="title = 't'"),
    Row("public.playlists", "public", "id = {public_list}",
        select="all", insert="owner, worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, title, is_public) values ({owner}, 't', true)", change="title = 't'"),
    Row("public.playlists", "owner", "id = {public_list}",
        update="worker; rest refused",
        change="user_id = {other}"),
    Row("public.playlist_items", "public recording in a public list", "playlist_id = {public_list} and audio_id = {public}",
        select="all", insert="owner, worker; rest refused", update="all refused",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(playlist_id, audio_id) values ({public_list}, {theirs})", change="position = 9"),
    Row("public.playlist_items", "private recording in a public list", "playlist_id = {public_list} and audio_id = {private}",
        select="owner, worker; rest nothing", insert="owner, worker; rest refused", update="all refused",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(playlist_id, audio_id) values ({public_list}, {private})", change="position = 9"),
    Row("public.playlist_items", "hidden recording in a public list", "playlist_id = {public_list} and audio_id = {hidden}",
        select="owner, moderator, admin, worker; rest nothing", insert="owner, worker; rest refused",
        update="all refused", delete="owner, worker; anonymous refused; rest nothing",
        values="(playlist_id, audio_id) values ({public_list}, {hidden})", change="position = 9"),
    Row("public.playlist_items", "public recording in a private list", "playlist_id = {private_list}",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="all refused",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(playlist_id, audio_id) values ({private_list}, {theirs_private})", change="audio_id = {theirs}"),
    Row("public.likes", "owner's", "user_id = {owner}",
        select="owner, worker; anonymous refused; rest nothing", insert="owner, worker; rest refused",
        update="worker; rest refused", delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, audio_id) values ({owner}, {theirs})", change="created_at = now()"),
    Row("public.likes", "all", "true",
        delete="owner, worker; anonymous refused; rest nothing"),
    Row("public.likes", "of what one does not see", "user_id = {owner}",
        insert="worker; rest refused",
        values="(user_id, audio_id) values ({owner}, {theirs_private})"),
    Row("public.listening_events", "owner's", "user_id = {owner}",
        select="owner, worker; anonymous refused; rest nothing", insert="owner, worker; rest refused",
        update="worker; rest refused", delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, audio_id, listened_s, completed) values ({owner}, {theirs}, 3, true)",
        change="listened_s = 1"),
    Row("public.listening_events", "all", "true",
        delete="owner, worker; anonymous refused; rest nothing"),
    Row("public.listening_events", "of what one does not see", "user_id = {owner}",
        insert="worker; rest refused",
        values="(user_id, audio_id) values ({owner}, {theirs_private})"),
    Row("public.impressions", "owner's", "user_id = {owner}",
        select="owner, worker; anonymous refused; rest nothing", insert="worker; rest refused",
        update="worker; rest refused", delete="owner, worker; anonymous refused; rest nothing",
        values="(answer_id, place, user_id, audio_id, reason, score, seed) values (gen_random_uuid(), 1, {owner}, {theirs}, 'liked', 1, 1)",
        change="reason = 'liked'"),
    Row("public.impressions", "all", "true",
        delete="owner, worker; anonymous refused; rest nothing"),
    *(
        Row("public.audio_stats", f"of a {kind} recording", f"audio_id = {{{kind}}}", select=readers,
            insert="all refused", update="all refused", delete="all refused",
            values="(audio_id) values ({theirs})", change="plays = 1")
        for kind, readers in (
            ("private", "owner, worker; rest nothing"), ("public", "all"),
            ("hidden", "owner, moderator, admin, worker; rest nothing"))
    ),
    *(
        Row("public.audio_captions", f"of a {kind} recording", f"audio_id = {{{kind}}}", select=readers,
            insert="all refused", update="all refused", delete="all refused",
            values="(audio_id) values ({theirs})", change="is_wanted = true")
        for kind, readers in (
            ("private", "owner, worker; rest nothing"), ("public", "all"),
            ("hidden", "owner, moderator, admin, worker; rest nothing"))
    ),
    Row("public.audio_stats_daily", "of owner's recording", "audio_id = {public}",
        select="owner, worker; anonymous refused; rest nothing",
        insert="all refused", update="all refused", delete="all refused",
        values="(audio_id, day, user_id) values ({public}, now(), {owner})", change="plays = 1"),
    Row("public.mood_rules", "any", "mood = 'calm' and rule = 'quiet'",
        select="all", insert="all refused", update="all refused", delete="all refused",
        values="(mood, rule, points, labels) values ('calm', 'new', 0.1, '{{calm}}')", change="points = 0.1"),
    Row("public.feature_flags", "any", "key = 'captions'", columns="key, state",
        select="all", insert="worker; rest refused", update="worker; rest refused", delete="worker; rest refused",
        values="(key, description) values ('new', 'New')", change="state = 'off'"),
    Row("public.feature_flags", "whom it names", "key = 'captions'", columns="user_ids, roles",
        select="worker; rest refused"),
    Row("public.licenses", "any", "id = 'CC0-1.0'",
        select="all", insert="all refused", update="all refused", delete="all refused",
        values="(id, name) values ('new', 'New')", change="name = 'New'"),
    Row("public.license_history", "of a private recording", "audio_id = {private}",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest refused",
        delete="worker; rest refused",
        values="(audio_id, license) values ({private}, 'CC0-1.0')", change="license = null"),
    Row("public.license_history", "of a public recording", "audio_id = {public}",
        select="all", insert="worker; rest refused", update="worker; rest refused", delete="worker; rest refused",
        values="(audio_id, license) values ({public}, 'CC0-1.0')", change="license = null"),
    Row("public.license_history", "of a hidden recording", "audio_id = {hidden}",
        select="owner, moderator, admin, worker; rest nothing", update="worker; rest refused",
        delete="worker; rest refused",
        change="license = null"),
    Row("public.notifications", "owner's", "id = {notification}",
        select="owner, worker; anonymous refused; rest nothing", insert="worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, kind, audio_id, trace_id) values ({owner}, 'recording_ready', {private}, 't')",
        change="read_at = now()"),
    Row("public.notifications", "all", "true",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        change="read_at = now()"),
    Row("public.notifications", "whose they are", "true",
        update="worker not asked; rest refused",
        change="user_id = {other}"),
    Row("public.notifications", "rewritten", "id = {notification}",
        update="worker; rest refused",
        change="kind = 'recording_failed'"),
    Row("public.notification_preferences", "owner's", "user_id = {owner}",
        select="owner, worker; anonymous refused; rest nothing", insert="owner, worker; rest refused",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        values="(user_id, kind, channel, enabled) values ({owner}, 'recording_liked', 'email', true)",
        change="enabled = false"),
    Row("public.notification_preferences", "all", "true",
        update="owner, worker; anonymous refused; rest nothing",
        delete="owner, worker; anonymous refused; rest nothing",
        change="enabled = false"),
    Row("public.notification_preferences", "whose they are", "true",
        update="worker; anonymous, owner refused; rest nothing",
        change="user_id = {other}"),
    Row("public.push_subscriptions", "owner's", "id = {subscription}",
        select="owner, worker; anonymous refused; rest nothing", insert="all refused", update="all refused",
        delete="owner; anonymous, worker refused; rest nothing",
        values="(user_id, endpoint, p256dh, auth) values ({owner}, 'https://push.example/b', repeat('A', 87), repeat('A', 22))",
        change="endpoint = 'https://push.example/c'"),
    Row("public.push_subscriptions", "all", "true",
        delete="owner; anonymous, worker refused; rest nothing"),
    Row("public.reports", "by owner", "id = {report}",
        select="owner, moderator, admin, worker; other nothing; rest refused", update="worker; rest refused",
        delete="worker; rest refused",
        change="assigned_at = now()"),
    Row("public.reports", "by another", "id = {report_of_public}",
        select="moderator, admin, worker; anonymous refused; rest nothing", insert="other, worker; rest refused",
        update="worker; rest refused", delete="worker; rest refused",
        values="(audio_id, reporter_id, reason) values ({public}, {other}, 'other')", change="reason = 'other'"),
    Row("public.reports", "of one's own recording", "id = {report}",
        insert="worker; rest refused",
        values="(audio_id, reporter_id, reason) values ({public}, {owner}, 'spam')"),
    Row("public.reports", "of what one does not see", "id = {report}",
        insert="worker; rest refused",
        values="(audio_id, reporter_id, reason) values ({theirs_private}, {owner}, 'spam')"),
    Row("public.report_assignments", "of owner's report", "report_id = {report}",
        select="moderator, admin, worker; anonymous refused; rest nothing", insert="worker; rest refused",
        update="worker; rest refused", delete="worker; rest refused",
        values="(report_id, assignee_id) values ({report_of_public}, {moderator})",
        change="assignee_id = {admin}"),
    Row("public.api_keys", "owner's", "id = {api_key}",
        select="owner, worker; anonymous refused; rest nothing", insert="all refused", update="all refused",
        delete="all refused",
        values="(user_id, name, prefix, scope) values ({owner}, 'n', 'soundscape_00000000', 'all')",
        change="scope = 'all'"),
    Row("public.exports", "owner's", "id = {export}",
        select="owner, worker; anonymous refused; rest nothing", insert="all refused", update="all refused",
        delete="owner; anonymous, worker refused; rest nothing",
        values="(user_id) values ({owner})", change="expires_at = null"),
    Row("public.exports", "all", "true",
        delete="owner; anonymous, worker refused; rest nothing"),
    # What models say, behind the functions that recommend: read with the caller's rights, written by the worker's functions.
    Row("soundscape.recommendation_models", "in force", "id = (select max(model_id) from soundscape.item_factors)",
        select="signed in; rest refused", insert="all refused", update="all refused", delete="all refused",
        values="(state) values ('staged')", change="slot = 1", columns="id, state, slot, space, settings"),
    Row("soundscape.recommendation_models", "of former times", "state = 'retired'",
        select="anonymous, worker refused; rest nothing",
        columns="id, state"),
    Row("soundscape.recommendation_models", "worth", "true",
        select="all refused",
        columns="figures"),
    Row("soundscape.item_factors", "of a public recording", "audio_id = {public}",
        select="signed in; rest refused", insert="all refused", update="all refused", delete="all refused",
        values="select * from soundscape.item_factors", change="slot = 1"),
    Row("soundscape.item_factors", "of a recording that is not listed", "audio_id = {hidden}",
        select="anonymous, worker refused; rest nothing"),
    Row("soundscape.item_neighbours", "of public recordings", "audio_id = {public} and neighbour_id = {theirs}",
        select="signed in; rest refused", insert="all refused", update="all refused", delete="all refused",
        values="select * from soundscape.item_neighbours", change="weight = 1"),
    Row("soundscape.item_neighbours", "of a recording that is not listed", "audio_id = {hidden}",
        select="anonymous, worker refused; rest nothing"),
    Row("soundscape.item_neighbours", "that is not listed", "neighbour_id = {hidden}",
        select="anonymous, worker refused; rest nothing"),
    Row("soundscape.factor_maps", "any", "true",
        select="all refused", insert="all refused", update="all refused", delete="all refused",
        values="select * from soundscape.factor_maps", change="intercept = 1"),
    # Platform tables: everybody holds grants there, policies decide.
    Row("storage.buckets", "spare", "id = 'spare'",
        select="worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        delete="worker; rest nothing",
        values="(id, name) values ('new', 'new')", change="public = true"),
    Row("realtime.messages", "any", "topic = 'audio'",
        select="worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        values="(topic, extension, payload, private) values ('audio', 'broadcast', '{{}}', true)",
        change="event = 'other'"),
    Row("realtime.messages", "of owner's library", "topic = 'library:' || {owner} and extension = 'broadcast'",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        values="(topic, extension, event, payload, private) values ('library:' || {owner}, 'broadcast', 'DELETE', '{{}}', true)",
        change="event = 'other'"),
    Row("realtime.messages", "of a private recording", "topic = 'recording:' || {private} and extension = 'broadcast'",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        values="(topic, extension, event, payload, private) values ('recording:' || {private}, 'broadcast', 'progress', '{{}}', true)",
        change="event = 'other'"),
    Row("realtime.messages", "of a public recording", "topic = 'recording:' || {public} and extension = 'broadcast'",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        values="(topic, extension, event, payload, private) values ('recording:' || {public}, 'broadcast', 'progress', '{{}}', true)",
        change="event = 'other'"),
    Row("realtime.messages", "about who is present", "topic in ('library:' || {owner}, 'recording:' || {private}) and extension = 'presence'",
        select="worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        values="(topic, extension, event, private) values ('library:' || {owner}, 'presence', 'join', true)",
        change="event = 'other'"),
    Row("realtime.messages", "of topics that only look like theirs",
        "topic in ('Library:' || {owner}, 'library:' || {owner} || ':x', 'recording:' || upper({private}), 'recording:' || {private} || ':x', {private}::text)",
        select="worker; rest nothing"),
)  # fmt: skip


def _object(
    bucket: str,
    name: str,
    where: str,
    *,
    select: str = "",
    insert: str = "",
    update: str = "",
    delete: str = "",
    path: str = "",
    change: str = "",
) -> Row:
    values = (
        f"(bucket_id, name, owner_id, version) values ('{bucket}', {path}, {{owner}}, '1')" if path else ""
    )
    change = change or "user_metadata = '{{}}'"
    return Row(
        "storage.objects",
        f"{bucket}: {name}",
        f"bucket_id = '{bucket}' and {where}",
        select,
        insert,
        update,
        delete,
        values,
        change,
    )


BUCKETS: tuple[Row, ...] = (
    _object("audio-files", "private", "name = 'public/private.wav'",
        select="owner, worker; rest nothing", insert="signed in, worker; rest refused",
        update="owner, worker; rest nothing", delete="owner, worker; rest nothing",
        path="'public/new.wav'"),
    _object("audio-files", "public", "name = 'public/public.wav'",
        select="all", insert="owner, worker; rest refused", update="owner, worker; rest nothing",
        delete="owner, worker; rest nothing",
        path="{owner} || '/new.wav'"),
    _object("audio-files", "hidden", "name = 'public/hidden.wav'",
        select="owner, moderator, admin, worker; rest nothing", insert="worker; rest refused",
        update="owner, worker; rest nothing", delete="owner, worker; rest nothing",
        path="'elsewhere/new.wav'"),
    _object("audio-files", "undescribed", "name like '%/undescribed.wav'",
        select="owner, worker; rest nothing", insert="worker; rest refused",
        update="owner, worker; rest nothing", delete="owner, worker; rest nothing",
        path="'new.wav'"),
    _object("audio-files", "into another's folder", "name = 'public/private.wav'",
        update="owner refused; worker not asked; rest nothing",
        change="name = {other} || '/mine.wav'"),
    _object("waveforms", "of a private recording", "name like {private} || '/%'",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        delete="worker; rest nothing",
        path="{private} || '/2/w.dat'"),
    _object("waveforms", "of a public recording", "name like {public} || '/%'",
        select="all", insert="worker; rest refused", update="worker; rest nothing",
        delete="worker; rest nothing",
        path="{owner} || '/w.dat'"),
    _object("waveforms", "of a hidden recording", "name like {hidden} || '/%'",
        select="owner, moderator, admin, worker; rest nothing", update="worker; rest nothing",
        delete="worker; rest nothing"),
    _object("exports", "a zip", "name like '%' || {export} || '.zip'",
        select="owner, worker; rest nothing", insert="worker; rest refused", update="worker; rest nothing",
        delete="worker; rest nothing",
        path="{owner} || '/new.zip'"),
    _object("exports", "what a worker stores beside it", "name like '%.plan'",
        select="worker; rest nothing", update="worker; rest nothing", delete="worker; rest nothing"),
    _object("exports", "a zip whose time is up", "name like '%' || {past_export} || '.zip'",
        select="worker; rest nothing", update="worker; rest nothing", delete="worker; rest nothing"),
    _object("profile-images", "owner's", "name like {owner} || '/%'",
        select="owner, worker; rest nothing", insert="owner, worker; rest refused",
        update="owner, worker; rest nothing", delete="owner, worker; rest nothing",
        path="{owner} || '/new.png'"),
    _object("profile-images", "into another's folder", "name like {owner} || '/%'",
        update="owner refused; worker not asked; rest nothing",
        change="name = {other} || '/mine.png'"),
)  # fmt: skip

# Whether a bucket's files are served to everybody without asking.
PUBLIC_BUCKETS = {"audio-files": False, "waveforms": False, "exports": False, "profile-images": True}

# How similar_audio and similar_to_embedding end: diversity and filters.
SIMILAR = (
    "double precision,double precision,double precision,text,text,double precision,double precision,"
    "double precision,double precision,text[],text"
)

SEARCH = "search_audio(text,integer,text,text," + SIMILAR.partition(",")[2] + ")"
FACETS = "search_facets(text," + SIMILAR.partition(",")[2] + ")"

# signature, what, call, outcomes. Functions of the exposed schema, every one.
CALLS: tuple[tuple[str, str, str, str], ...] = (
    ("claim_delivery(text[],integer)", "", "select public.claim_delivery('{{email}}')", "worker nothing; rest refused"),
    ("complete_delivery(uuid,uuid)", "", "select public.complete_delivery({owner}, {owner})", "worker not asked; rest refused"),
    ("fail_delivery(uuid,uuid,text,text,text,integer)", "",
     "select public.fail_delivery({owner}, {owner}, 'later', 'c', 'm')", "worker not asked; rest refused"),
    ("report_channel(text,boolean,text,text)", "", "select public.report_channel('email', false)", "worker; rest refused"),
    ("unsubscribe(uuid,text[])", "", "select public.unsubscribe({owner}, '{{}}')", "worker; rest refused"),
    ("list_deliveries(text[],uuid,text,text,uuid,integer)", "", "select public.list_deliveries()", "worker nothing; rest refused"),
    ("show_delivery(uuid)", "", "select public.show_delivery({owner})", "worker; rest refused"),
    ("retry_deliveries(uuid[])", "", "select public.retry_deliveries('{{}}')", "worker nothing; rest refused"),
    ("cancel_deliveries(uuid[])", "", "select public.cancel_deliveries('{{}}')", "worker nothing; rest refused"),
    ("reopen_address(uuid)", "", "select public.reopen_address({owner})", "worker; rest refused"),
    ("reopen_addresses(text)", "", "select public.reopen_addresses()", "worker; rest refused"),
    ("delivery_stats()", "", "select public.delivery_stats()", "worker; rest refused"),
    ("notification_settings()", "", "select public.notification_settings()", "signed in; rest refused"),
    ("notification_channels()", "", "select public.notification_channels()", "signed in; rest refused"),
    ("save_push_subscription(text,text,text)", "a new one",
     "select public.save_push_subscription('https://push.example/n', repeat('A', 87), repeat('A', 22))", "signed in; rest refused"),
    ("save_push_subscription(text,text,text)", "owner's, without its keys",
     "select public.save_push_subscription('https://push.example/a', repeat('C', 87), repeat('C', 22))", "owner; rest refused"),
    ("claim_jobs(text,integer,integer,text[])", "", "select public.claim_jobs('w', 1, 60)", "worker; rest refused"),
    ("claim_previews(text,integer,integer)", "", "select public.claim_previews('w')", "worker nothing; rest refused"),
    ("complete_preview(bigint,text,text,bigint)", "",
     "select public.complete_preview({job}, {token}, 'x', 1)", "worker not asked; rest refused"),
    ("next_message_s()", "", "select public.next_message_s()", "worker; rest refused"),
    ("extend_lease(bigint,text,integer)", "", "select public.extend_lease({job}, {token}, 60)", "worker; rest refused"),
    ("report_progress(bigint,text,text,real)", "",
     "select public.report_progress({job}, {token}, 'analyzing', 0.5)", "worker; rest refused"),
    ("complete_job(bigint,text,jsonb)", "", "select public.complete_job({job}, {token}, {result})", "worker; rest refused"),
    ("fail_job(bigint,text,text,text,text)", "",
     "select public.fail_job({job}, {token}, 'passing', 'c', 'm')", "worker; rest refused"),
    ("reconcile()", "", "select public.reconcile()", "worker; rest refused"),
    ("pending_deletions(integer)", "", "select public.pending_deletions(1)", "worker nothing; rest refused"),
    ("empty_accounts(integer)", "", "select public.empty_accounts(0)", "worker; rest refused"),
    ("emptied_accounts(integer)", "", "select public.emptied_accounts()", "worker nothing; rest refused"),
    ("delete_my_account()", "", "select public.delete_my_account()", "signed in; rest refused"),
    ("confirm_deletions(text,text[])", "", "select public.confirm_deletions('waveforms', '{{}}')", "worker; rest refused"),
    ("pending_renames(integer)", "", "select public.pending_renames(1)", "worker nothing; rest refused"),
    ("complete_rename(bigint,integer,text)", "", "select public.complete_rename(0, 0, 'none/')", "worker; rest refused"),
    ("list_jobs(text[],uuid,uuid,text,bigint,integer)", "", "select public.list_jobs()", "worker; rest refused"),
    ("show_job(bigint)", "", "select public.show_job({job})", "worker; rest refused"),
    ("queue_stats()", "", "select public.queue_stats()", "worker; rest refused"),
    ("set_queue(boolean,integer,integer,integer)", "", "select public.set_queue()", "worker; rest refused"),
    ("retry_jobs(bigint[])", "", "select public.retry_jobs('{{}}')", "worker; rest refused"),
    ("cancel_jobs(bigint[])", "", "select public.cancel_jobs(array[{job}::bigint])", "worker; rest refused"),
    ("reanalyze(text,jsonb,integer,uuid,boolean)", "", "select public.reanalyze('v')", "worker; rest refused"),
    ("cancel_analysis(uuid)", "private", "select public.cancel_analysis({private})", "owner; rest refused"),
    ("retry_analysis(uuid)", "private", "select public.retry_analysis({private})", "owner; rest refused"),
    ("cancel_analysis(uuid)", "public", "select public.cancel_analysis({public})", "owner; rest refused"),
    ("retry_analysis(uuid)", "public", "select public.retry_analysis({public})", "owner; rest refused"),
    ("fingerprint_candidates(integer[],integer[],integer,integer,uuid,boolean,uuid)", "",
     "select public.fingerprint_candidates('{{1}}', '{{0}}', 1)", "worker nothing; rest refused"),
    ("stored_fingerprints(uuid[])", "", "select public.stored_fingerprints('{{}}')", "worker nothing; rest refused"),
    ("unindexed_recordings(integer,integer,uuid)", "", "select public.unindexed_recordings(1)", "worker nothing; rest refused"),
    ("index_recording(uuid,text,jsonb)", "", "select public.index_recording({private}, 'v', '{{}}')", "worker; rest refused"),
    ("index_snapshot()", "", "select public.index_snapshot()", "worker; rest refused"),
    ("pending_comparisons(integer)", "", "select public.pending_comparisons(1)", "worker nothing; rest refused"),
    ("complete_comparison(uuid,uuid[],jsonb)", "",
     "select public.complete_comparison({private}, '{{}}', '[]')", "worker; rest refused"),
    ("dismiss_match(uuid,boolean)", "of a private recording",
     "select public.dismiss_match({private_match})", "owner, moderator, admin; rest refused"),
    ("dismiss_match(uuid,boolean)", "of public ones", "select public.dismiss_match({public_match})", "signed in; rest refused"),
    ("custom_access_token_hook(jsonb)", "",
     "select public.custom_access_token_hook('{{\"user_id\": null, \"claims\": {{}}}}')", "all refused"),
    ("accepted_uploads()", "", "select public.accepted_uploads()", "all"),
    (SEARCH, "private", "select public.search_audio('private')", "owner; rest nothing"),
    (SEARCH, "public", "select public.search_audio('public')", "all"),
    (SEARCH, "hidden", "select public.search_audio('hidden')", "owner; rest nothing"),
    (SEARCH, "misspelt", "select public.search_audio('privvate')", "owner; rest nothing"),
    (FACETS, "public", "select public.search_facets('public')", "all"),
    (FACETS, "private",
     "select value from public.search_facets('private') where facet = 'label' and value = 'speech'", "owner; rest nothing"),
    (f"similar_audio(uuid,integer,{SIMILAR})", "to a public one",
     "select public.similar_audio({public})", "signed in, worker; rest nothing"),
    (f"similar_audio(uuid,integer,{SIMILAR})", "to a private one",
     "select public.similar_audio({private})", "owner, worker; rest not asked"),
    (f"similar_audio(uuid,integer,{SIMILAR})", "to a hidden one",
     "select public.similar_audio({hidden})", "owner, moderator, admin, worker; rest not asked"),
    (f"similar_to_embedding(text,double precision[],integer,{SIMILAR})", "",
     "select public.similar_to_embedding('test-1', {vector}::extensions.vector::real[]::double precision[])", "all"),
    ("radio(uuid,integer,bigint,uuid[])", "from a public one", "select public.radio({public})", "signed in, worker; rest nothing"),
    ("radio(uuid,integer,bigint,uuid[])", "from a private one", "select public.radio({private})", "owner, worker; rest not asked"),
    ("mood_mix(text,integer,bigint,uuid[])", "of a public one",
     "select id from public.mood_mix('energy') where id = {public}", "all"),
    ("mood_mix(text,integer,bigint,uuid[])", "of a private one",
     "select id from public.mood_mix('energy') where id = {private}", "owner; rest nothing"),
    ("mood_mix(text,integer,bigint,uuid[])", "of a hidden one",
     "select id from public.mood_mix('energy') where id = {hidden}", "owner; rest nothing"),
    ("nearby_audio(double precision,double precision,double precision,integer)", "a public one",
     "select id from public.nearby_audio(52.5, 13.4, 5000) where id = {public}", "all"),
    ("nearby_audio(double precision,double precision,double precision,integer)", "a private one",
     "select id from public.nearby_audio(52.5, 13.4, 5000) where id = {private}", "owner, worker; rest nothing"),
    ("nearby_audio(double precision,double precision,double precision,integer)", "a hidden one",
     "select id from public.nearby_audio(52.5, 13.4, 5000) where id = {hidden}",
     "owner, moderator, admin, worker; rest nothing"),
    ("my_audio_stats(date,date,uuid)", "",
     "select day from public.my_audio_stats('2026-01-01', '2026-12-31')", "owner; anonymous, worker refused; rest nothing"),
    ("my_audio_stats(date,date,uuid)", "of a recording",
     "select day from public.my_audio_stats('2026-01-01', '2026-12-31', {public})", "owner; anonymous, worker refused; rest nothing"),
    ("flag(text,boolean)", "", "select public.flag('captions')", "all"),
    ("flags()", "", "select public.flags()", "all"),
    ("flag_for(text,uuid)", "", "select public.flag_for('captions', {owner})", "worker; rest refused"),
    ("flags_for(text[],uuid[])", "", "select public.flags_for('{{captions}}', '{{null}}')", "worker; rest refused"),
    ("set_captions(uuid,boolean)", "", "select public.set_captions({public}, true)", "owner; rest refused"),
    ("replace_caption(uuid,text,text[])", "", "select public.replace_caption({public}, 'c')", "owner; rest refused"),
    ("claim_caption(integer,integer,bigint)", "", "select public.claim_caption()", "worker nothing; rest refused"),
    ("complete_caption(uuid,uuid,text,text[],text,integer,integer)", "",
     "select public.complete_caption({public}, {export_token}, 'c', '{{}}', 'm', 1, 0)", "worker not asked; rest refused"),
    ("fail_caption(uuid,uuid,text,integer,integer,boolean)", "",
     "select public.fail_caption({public}, {export_token}, 'c')", "worker not asked; rest refused"),
    ("record_download(uuid,text)", "", "select public.record_download({public}, '192.0.2.1')", "worker; rest refused"),
    ("roll_up_stats(integer)", "", "select public.roll_up_stats()", "worker; rest refused"),
    ("project_stats(integer)", "", "select public.project_stats()", "worker; rest refused"),
    ("impressions_after(timestamp with time zone,uuid,integer,integer)", "", "select public.impressions_after()", "worker; rest refused"),
    # Only what the other has is ready.
    ("recommended_audio(integer,bigint,text[])", "", "select public.recommended_audio()", "owner, moderator, admin; other nothing; rest refused"),
    ("begin_fit(double precision)", "", "select public.begin_fit()", "worker; rest refused"),
    ("end_fit(uuid)", "", "select public.end_fit({turn})", "worker; rest refused"),
    ("fit_history(uuid,integer)", "", "select public.fit_history()", "worker; rest refused"),
    ("fit_embeddings(uuid[],text)", "", "select public.fit_embeddings(array[{public}::uuid], 'test-1')", "worker; rest refused"),
    ("model_items(bigint,uuid[])", "", "select public.model_items(2, array[{public}::uuid])", "worker; rest refused"),
    ("stage_model(uuid,jsonb,jsonb,boolean)", "",
     "select public.stage_model({turn}, '{{\"settings\": {{}}, \"figures\": {{}}, \"people\": 1, \"items\": 1, \"events\": 1}}')", "worker; rest refused"),
    ("stage_items(uuid,bigint,jsonb)", "", "select public.stage_items({turn}, 3, '[]')", "worker; rest refused"),
    ("stage_cold(uuid,bigint,uuid,integer)", "", "select public.stage_cold({turn}, 3)", "worker; rest refused"),
    ("publish_model(uuid,bigint)", "", "select public.publish_model({turn}, 3)", "worker; rest refused"),
    ("clear_models(uuid,integer)", "", "select public.clear_models({turn})", "worker; rest refused"),
    ("list_models(integer)", "", "select public.list_models()", "worker; rest refused"),
    ("move_playlist_item(uuid,integer)", "owner's",
     "select public.move_playlist_item((select id from public.playlist_items where audio_id = {public} "
     "and playlist_id = {public_list}), 3)", "owner; rest refused"),
    ("reorder_playlist(uuid,uuid[])", "owner's",
     "select public.reorder_playlist({private_list}, array(select id from public.playlist_items "
     "where playlist_id = {private_list}))", "owner; rest refused"),
    ("hide_recording(uuid,text)", "public", "select public.hide_recording({public}, 'r')", "moderator, admin; rest refused"),
    ("restore_recording(uuid)", "hidden", "select public.restore_recording({hidden})", "moderator, admin; rest refused"),
    ("describe_audio(jsonb)", "a new one",
     "select from public.describe_audio(jsonb_build_array(jsonb_build_object('file_path', {owner} || '/new.wav', 'title', 't'))) where result = 'created'", "owner; other, moderator, admin nothing; rest refused"),
    ("describe_audio(jsonb)", "private",
     "select from public.describe_audio('[{{\"file_path\": \"public/private.wav\", \"title\": \"t\"}}]') where result = 'updated'", "owner; other, moderator, admin nothing; rest refused"),
    ("export_my_data()", "", "select public.export_my_data()", "signed in; rest refused"),
    ("claim_export(integer)", "", "select public.claim_export()", "worker; rest refused"),
    ("list_export(uuid,uuid)", "", "select public.list_export({running_export}, {export_token})", "worker; rest refused"),
    ("read_export(uuid,uuid,text,jsonb,integer)", "",
     "select public.read_export({running_export}, {export_token}, 'users')", "worker; rest refused"),
    ("save_export(uuid,uuid,bigint,bigint,text,integer,bigint[],integer)", "",
     "select public.save_export({running_export}, {export_token})", "worker; rest refused"),
    ("restart_export(uuid,uuid)", "", "select public.restart_export({running_export}, {export_token})", "worker; rest refused"),
    ("complete_export(uuid,uuid,integer)", "", "select public.complete_export({running_export}, {export_token})", "worker; rest refused"),
    ("fail_export(uuid,uuid,text,text,boolean)", "",
     "select public.fail_export({running_export}, {export_token}, 'c', 'm')", "worker; rest refused"),
    ("register_worker(text,text,text)", "",
     "select public.register_worker('w', '1', '20261130000000')", "worker; rest refused"),
    ("claim_image_check(integer)", "", "select public.claim_image_check()", "worker; rest refused"),
    ("complete_image_check(uuid,uuid,text,text)", "",
     "select public.complete_image_check({running_export}, {export_token})", "worker not asked; rest refused"),
    ("create_api_key(text,text,timestamp with time zone)", "", "select public.create_api_key('n', 'all')", "signed in; rest refused"),
    ("revoke_api_key(uuid)", "owner's", "select public.revoke_api_key({api_key})", "owner; rest refused"),
    ("open_key_session(text)", "", "select public.open_key_session({zeros})", "worker; rest refused"),
    ("record_key_session(uuid,uuid,timestamp with time zone)", "",
     "select public.record_key_session({api_key}, gen_random_uuid(), now())", "worker; rest refused"),
    ("assign_report(uuid,uuid)", "", "select public.assign_report({report}, {moderator})", "moderator, admin; rest refused"),
    ("resolve_report(uuid,text,text)", "dismissed",
     "select public.resolve_report({report}, 'dismissed', 'r')", "moderator, admin; rest refused"),
    ("resolve_report(uuid,text,text)", "hidden",
     "select public.resolve_report({report_of_public}, 'hidden', 'r')", "moderator, admin; rest refused"),
    ("operator_overview()", "", "select public.operator_overview()", "admin; rest refused"),
)  # fmt: skip

# Auth's own role reaches one table and one function of ours.
AUTH: tuple[Cell, ...] = (
    Cell("public.user_roles", "select any", "auth", "select * from public.user_roles", "works"),
    Cell("public.users", "select any", "auth", "select * from public.users", "refused"),
    Cell("public.audio_files", "select any", "auth", "select * from public.audio_files", "refused"),
    Cell(
        "public.custom_access_token_hook(jsonb)", "call", "auth",
        "select public.custom_access_token_hook(jsonb_build_object('user_id', {moderator}, 'claims', '{{}}'::jsonb))", "works",
    ),
)  # fmt: skip


def _key_cells() -> Iterator[Cell]:
    """What the sessions of the owner's API keys may do. Elsewhere soundscape.check_request holds them."""
    may_read = ("read key", "upload key", "all key")
    may_add = ("upload key", "all key")
    may_change = ("all key",)
    audio, image = "(bucket_id, name, owner_id, version) values", "profile-images"
    statements = (
        ("storage.objects", "select an object", "select * from storage.objects where name = 'public/private.wav'", may_read, "nothing"),
        ("storage.objects", "insert a recording", f"insert into storage.objects {audio} ('audio-files', 'public/new.wav', {{owner}}, '1')", may_add, "refused"),
        ("storage.objects", "insert an image", f"insert into storage.objects {audio} ('{image}', {{owner}} || '/new.png', {{owner}}, '1')", may_change, "refused"),
        ("storage.objects", "update an object", "update storage.objects set user_metadata = '{{}}' where name = 'public/private.wav'", may_change, "nothing"),
        ("storage.objects", "delete an object", "delete from storage.objects where name = 'public/private.wav'", may_change, "nothing"),
        ("realtime.messages", "join a topic", "select * from realtime.messages where topic = 'library:' || {owner} and extension = 'broadcast'", may_read, "nothing"),
        ("public.audio_files", "update a recording that waits for its file", "update public.audio_files set title = 't' where id = {waiting}", may_add, "nothing"),
        ("public.audio_files", "update a recording that is there", "update public.audio_files set title = 't' where id = {private}", may_change, "nothing"),
        ("public.describe_audio(jsonb)", "call describe a recording that is there", "select from public.describe_audio('[{{\"file_path\": \"public/private.wav\", \"title\": \"t\"}}]') where result = 'updated'", may_change, "nothing"),
        ("storage.objects", "select an export", "select * from storage.objects where bucket_id = 'exports'", may_change, "nothing"),
        ("public.export_my_data()", "call", "select public.export_my_data()", may_change, "refused"),
        ("public.create_api_key(text,text,timestamp with time zone)", "call", "select public.create_api_key('n')", (), "refused"),
        ("public.delete_my_account()", "call", "select public.delete_my_account()", (), "refused"),
        ("public.revoke_api_key(uuid)", "call", "select public.revoke_api_key({api_key})", (), "refused"),
    )  # fmt: skip
    for subject, what, statement, may, otherwise in statements:
        for actor in SESSIONS:
            yield Cell(subject, what, actor, statement, "works" if actor in may else otherwise)


def cells() -> list[Cell]:
    """The whole matrix."""
    found = [cell for row in (*TABLES, *BUCKETS) for cell in row.cells()]
    for signature, what, call, rule in CALLS:
        found += [
            Cell(f"public.{signature}", f"call {what}".strip(), actor, call, expected)
            for actor, expected in outcomes(rule)
        ]
    return found + list(AUTH) + list(_key_cells())


# What is granted, to the letter: nothing but this. Columns where the right is on columns.
_ALL = ("select", "insert", "update", "delete")
READ = {"anon": ("select",), "authenticated": ("select",), "service_role": _ALL}
RIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "users": READ | {"authenticated": ("select", "update (username, display_name, bio, avatar_path)")},
    "user_preferences": {
        "authenticated": (
            "select",
            "update (locale, theme, default_is_public, default_license, settings, favourite_labels, "
            "time_zone, quiet_from, quiet_until, fill_from_file, captions)",
        ),
        "service_role": _ALL,
    },
    "user_roles": {
        "authenticated": ("select", "insert (user_id, role)", "delete"),
        "service_role": _ALL,
        "supabase_auth_admin": ("select",),
    },
    "role_permissions": {"authenticated": ("select",), "service_role": ("select",)},
    "audio_files": READ
    | {
        "authenticated": (
            "select",
            "delete",
            "insert (user_id, title, description, file_path, is_public, tags, license, attribution, sources, "
            "duration, recorded_at, latitude, longitude, location_precision_m)",
            "update (title, description, is_public, tags, license, attribution, sources, recorded_at, "
            "latitude, longitude, location_precision_m)",
        )
    },
    "audio_features": READ,
    "audio_tags": READ,
    "audio_embeddings": READ,
    "audio_matches": READ,
    "playlists": READ
    | {
        "authenticated": (
            "select",
            "delete",
            "insert (user_id, title, description, is_public)",
            "update (title, description, is_public)",
        )
    },
    "playlist_items": {
        "anon": ("select",),
        "authenticated": ("select", "delete", "insert (playlist_id, audio_id)"),
        "service_role": ("select", "delete", "insert (playlist_id, audio_id)"),
    },
    "likes": {"authenticated": ("select", "delete", "insert (user_id, audio_id)"), "service_role": _ALL},
    "listening_events": {
        "authenticated": (
            "select",
            "delete",
            "insert (user_id, audio_id, started_at, listened_s, completed, context)",
        ),
        "service_role": _ALL,
    },
    "impressions": {"authenticated": ("select", "delete"), "service_role": _ALL},
    "audio_stats": READ | {"service_role": ("select",)},
    "audio_captions": READ | {"service_role": ("select",)},
    "audio_stats_daily": {"authenticated": ("select",), "service_role": ("select",)},
    "api_keys": {"authenticated": ("select",), "service_role": ("select",)},
    "exports": {"authenticated": ("select", "delete"), "service_role": ("select",)},
    "mood_rules": READ | {"service_role": ("select",)},
    "licenses": READ | {"service_role": ("select",)},
    "feature_flags": dict.fromkeys(
        ("anon", "authenticated"),
        ("select (key, description, state, percentage, active_from, active_until, updated_at)",),
    )
    | {"service_role": _ALL},
    "license_history": READ,
    "notifications": {"authenticated": ("select", "delete", "update (read_at)"), "service_role": _ALL},
    "notification_preferences": {"authenticated": _ALL, "service_role": _ALL},
    "push_subscriptions": {"authenticated": ("select", "delete"), "service_role": ("select",)},
    "recommendation_models": {"authenticated": ("select (id, state, slot, space, settings)",)},
    "item_factors": {"authenticated": ("select",)},
    "item_neighbours": {"authenticated": ("select",)},
    "report_assignments": {"authenticated": ("select",), "service_role": _ALL},
    "reports": {
        "authenticated": ("select", "insert (audio_id, reporter_id, reason, details)"),
        "service_role": _ALL,
    },
}

WORKER = ("service_role",)
SIGNED_IN = ("authenticated",)
EVERYBODY = ("anon", "authenticated", "service_role")
WRITERS = ("authenticated", "service_role")
PEOPLE = ("anon", "authenticated")
# Who may execute what, in the exposed schema and in the private one. Functions not named: nobody.
EXECUTE: dict[str, tuple[str, ...]] = {
    "public.custom_access_token_hook(jsonb)": ("supabase_auth_admin",),
    "soundscape.check_request()": EVERYBODY,
    "soundscape.is_not_estimated()": PEOPLE,
    "soundscape.check_value(boolean,text,text,text)": WRITERS,
    "soundscape.display_name_problem(text)": WRITERS,
    "soundscape.invisible_characters()": WRITERS,
    "soundscape.without_joiners(text)": WRITERS,
    "soundscape.mixes_scripts(text)": WRITERS,
    "soundscape.is_time_zone(text)": WRITERS,
    **{
        f"{schema}.{name}": EVERYBODY
        for schema in ("public", "soundscape")
        for name in ("flag(text,boolean)", "flags()")
    },
    "public.accepted_uploads()": EVERYBODY,
    "soundscape.accepted_uploads()": EVERYBODY,
    "soundscape.min_similarity()": EVERYBODY,
    "soundscape.uuid_or_null(text)": EVERYBODY,
    "soundscape.owner_of(text,text)": EVERYBODY,
    "soundscape.object_name_problem(text)": EVERYBODY,
    "soundscape.is_copying()": EVERYBODY,
    "soundscape.is_withheld(text)": SIGNED_IN,
    "soundscape.fold(text)": EVERYBODY,
    "soundscape.labels(text[],jsonb)": EVERYBODY,
    "soundscape.plain_words(text)": EVERYBODY,
    "soundscape.unspaced_letter()": EVERYBODY,
    "soundscape.pair_letters(text)": EVERYBODY,
    "soundscape.last_letters(text)": EVERYBODY,
    "soundscape.document_words(text)": EVERYBODY,
    "soundscape.open_single_letters(tsquery)": EVERYBODY,
    "soundscape.search_document(text,text,text[],jsonb)": EVERYBODY,
    "public.describe_audio(jsonb)": SIGNED_IN,
    "public.my_audio_stats(date,date,uuid)": SIGNED_IN,
    "soundscape.session_scope()": ("anon", "authenticated"),
    "soundscape.closed_accounts()": ("anon", "authenticated"),
    "soundscape.authorize(app_permission)": SIGNED_IN,
    "soundscape.listen_weight(real,boolean,double precision)": SIGNED_IN,
    "soundscape.choices(uuid[],integer)": SIGNED_IN,
    "soundscape.choice_confidence(real,real,real)": SIGNED_IN,
    "soundscape.listener_vector(bigint,uuid[],real[])": SIGNED_IN,
    "soundscape.centroid_of_choices(bigint,uuid[],real[])": SIGNED_IN,
    f"public.{SEARCH}": EVERYBODY,
    f"public.{FACETS}": EVERYBODY,
    "soundscape.parse_query(text)": EVERYBODY,
    "soundscape.correct_spelling(soundscape.words)": EVERYBODY,
    "soundscape.find_recordings(soundscape.words,soundscape.audio_filter,text,text,uuid,timestamp with time zone,integer)": EVERYBODY,
    "soundscape.encode_cursor(soundscape.page)": EVERYBODY,
    "soundscape.decode_cursor(text,text)": EVERYBODY,
    f"soundscape.audio_filter({SIMILAR.partition(',')[2]})": EVERYBODY,
    "soundscape.passes_filter(uuid,soundscape.audio_filter)": EVERYBODY,
    "soundscape.nearest(text,halfvec,integer,soundscape.audio_filter,uuid[],double precision)": EVERYBODY,
    "soundscape.nearest_filtered(text,halfvec,integer,soundscape.audio_filter,uuid[],double precision)": EVERYBODY,
    "soundscape.likeness(uuid,uuid[])": EVERYBODY,
    "soundscape.diversify(uuid[],double precision[],text,double precision,integer)": EVERYBODY,
    "soundscape.find_similar(text,halfvec,uuid,integer,double precision,soundscape.audio_filter)": EVERYBODY,
    f"public.similar_audio(uuid,integer,{SIMILAR})": EVERYBODY,
    f"public.similar_to_embedding(text,double precision[],integer,{SIMILAR})": EVERYBODY,
    "soundscape.seeded_random(uuid,bigint)": EVERYBODY,
    "soundscape.mood_points(uuid[],text)": EVERYBODY,
    "soundscape.recordings_in_mood(text,integer)": EVERYBODY,
    "soundscape.diversify_mixed(uuid[],double precision[],double precision,integer)": EVERYBODY,
    "public.mood_mix(text,integer,bigint,uuid[])": EVERYBODY,
    "soundscape.log_impressions(uuid[],text[],double precision[],double precision[],bigint,bigint)": SIGNED_IN,
    "public.radio(uuid,integer,bigint,uuid[])": EVERYBODY,
    "public.nearby_audio(double precision,double precision,double precision,integer)": EVERYBODY,
    "soundscape.distance_m(double precision,double precision,double precision,double precision)": EVERYBODY,
    "soundscape.metres_per_degree()": EVERYBODY,
    "soundscape.round_to(double precision,double precision,double precision)": EVERYBODY,
    "soundscape.newest_with_labels(text[],integer,uuid[])": SIGNED_IN,
    "soundscape.choice_reason(uuid)": SIGNED_IN,
    "soundscape.reason_sentence(text,text,text,text[])": SIGNED_IN,
    "soundscape.recommendation_weights()": SIGNED_IN,
    "soundscape.read_taste(text[],bigint,integer)": SIGNED_IN,
    "soundscape.collect_candidates(soundscape.taste,bigint,vector,uuid[],uuid[])": SIGNED_IN,
    "soundscape.measure_candidates(uuid[],soundscape.taste,bigint,vector,uuid[],double precision[],uuid[],integer)": SIGNED_IN,
    "soundscape.recommendation_candidates(soundscape.taste,bigint,soundscape.recommendation_weights)": SIGNED_IN,
    "soundscape.rank_candidates(uuid[],double precision[],integer,bigint,double precision)": SIGNED_IN,
    "soundscape.explain_recommendations(uuid[],double precision[],uuid[],double precision[],text[],soundscape.taste,bigint,soundscape.recommendation_weights)": SIGNED_IN,
    "soundscape.shared_traits(uuid[],uuid[])": SIGNED_IN,
    "soundscape.describe_batch(jsonb,integer[],text[])": SIGNED_IN,
    "soundscape.shared_words(double precision,double precision,double precision,double precision,boolean,boolean)": SIGNED_IN,
    "public.recommended_audio(integer,bigint,text[])": SIGNED_IN,
    **{
        f"{schema}.{signature}": who
        for schema in ("public", "soundscape")
        for who, signatures in (
            (
                WORKER,
                (
                    "claim_jobs(text,integer,integer,text[])",
                    "claim_previews(text,integer,integer)",
                    "complete_preview(bigint,text,text,bigint)",
                    "next_message_s()",
                    "extend_lease(bigint,text,integer)",
                    "report_progress(bigint,text,text,real)",
                    "complete_job(bigint,text,jsonb)",
                    "fail_job(bigint,text,text,text,text)",
                    "reconcile()",
                    "pending_deletions(integer)",
                    "confirm_deletions(text,text[])",
                    "empty_accounts(integer)",
                    "emptied_accounts(integer)",
                    "pending_renames(integer)",
                    "complete_rename(bigint,integer,text)",
                    "list_jobs(text[],uuid,uuid,text,bigint,integer)",
                    "show_job(bigint)",
                    "queue_stats()",
                    "set_queue(boolean,integer,integer,integer)",
                    "retry_jobs(bigint[])",
                    "cancel_jobs(bigint[])",
                    "reanalyze(text,jsonb,integer,uuid,boolean)",
                    "fingerprint_candidates(integer[],integer[],integer,integer,uuid,boolean,uuid)",
                    "stored_fingerprints(uuid[])",
                    "unindexed_recordings(integer,integer,uuid)",
                    "index_recording(uuid,text,jsonb)",
                    "index_snapshot()",
                    "pending_comparisons(integer)",
                    "complete_comparison(uuid,uuid[],jsonb)",
                    "begin_fit(double precision)",
                    "end_fit(uuid)",
                    "fit_history(uuid,integer)",
                    "fit_embeddings(uuid[],text)",
                    "model_items(bigint,uuid[])",
                    "stage_model(uuid,jsonb,jsonb,boolean)",
                    "stage_items(uuid,bigint,jsonb)",
                    "stage_cold(uuid,bigint,uuid,integer)",
                    "publish_model(uuid,bigint)",
                    "clear_models(uuid,integer)",
                    "list_models(integer)",
                    "impressions_after(timestamp with time zone,uuid,integer,integer)",
                    "open_key_session(text)",
                    "claim_export(integer)",
                    "list_export(uuid,uuid)",
                    "read_export(uuid,uuid,text,jsonb,integer)",
                    "save_export(uuid,uuid,bigint,bigint,text,integer,bigint[],integer)",
                    "restart_export(uuid,uuid)",
                    "complete_export(uuid,uuid,integer)",
                    "fail_export(uuid,uuid,text,text,boolean)",
                    "register_worker(text,text,text)",
                    "claim_image_check(integer)",
                    "complete_image_check(uuid,uuid,text,text)",
                    "claim_caption(integer,integer,bigint)",
                    "complete_caption(uuid,uuid,text,text[],text,integer,integer)",
                    "fail_caption(uuid,uuid,text,integer,integer,boolean)",
                    "record_download(uuid,text)",
                    "flag_for(text,uuid)",
                    "flags_for(text[],uuid[])",
                    "roll_up_stats(integer)",
                    "project_stats(integer)",
                    "claim_delivery(text[],integer)",
                    "complete_delivery(uuid,uuid)",
                    "fail_delivery(uuid,uuid,text,text,text,integer)",
                    "report_channel(text,boolean,text,text)",
                    "unsubscribe(uuid,text[])",
                    "list_deliveries(text[],uuid,text,text,uuid,integer)",
                    "show_delivery(uuid)",
                    "retry_deliveries(uuid[])",
                    "cancel_deliveries(uuid[])",
                    "reopen_address(uuid)",
                    "reopen_addresses(text)",
                    "delivery_stats()",
                    "record_key_session(uuid,uuid,timestamp with time zone)",
                ),
            ),
            (
                SIGNED_IN,
                (
                    "move_playlist_item(uuid,integer)",
                    "reorder_playlist(uuid,uuid[])",
                    "hide_recording(uuid,text)",
                    "restore_recording(uuid)",
                    "assign_report(uuid,uuid)",
                    "resolve_report(uuid,text,text)",
                    "operator_overview()",
                    "cancel_analysis(uuid)",
                    "retry_analysis(uuid)",
                    "delete_my_account()",
                    "dismiss_match(uuid,boolean)",
                    "create_api_key(text,text,timestamp with time zone)",
                    "revoke_api_key(uuid)",
                    "export_my_data()",
                    "set_captions(uuid,boolean)",
                    "replace_caption(uuid,text,text[])",
                    "notification_settings()",
                    "notification_channels()",
                    "save_push_subscription(text,text,text)",
                ),
            ),
        )
        for signature in signatures
    },
}


def granted(rights: dict[str, tuple[str, ...]]) -> list[str]:
    """`RIGHTS[table]` as the catalogue would tell it."""
    lines = []
    for role, privileges in rights.items():
        for privilege in privileges:
            name, _, columns = privilege.partition(" (")
            if columns:
                lines += [f"{role}: {name} ({column})" for column in columns.rstrip(")").split(", ")]
            else:
                lines.append(f"{role}: {name}")
    return sorted(lines)

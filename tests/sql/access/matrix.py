"""Who may do what: the whole of it, row by row.

A cell is one actor and one action. Six characters stand for anonymous, owner, other user, moderator, admin
and worker, in this order: `y` it works on that row, `.` nothing happens since the row is not theirs to see or
change, `x` it is refused (42501), `-` not asked.
"""

# ruff: noqa: E501 - a table is read across
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ACTORS = ("anonymous", "owner", "other", "moderator", "admin", "worker")
ACTIONS = ("select", "insert", "update", "delete")


def _id(tail: str) -> str:
    return "00000000-0000-4000-8000-" + tail.rjust(12, "0")


# The placeholders of the statements below; the rows are in world.sql.
NAMES = {
    "owner": _id("1"), "other": _id("2"), "moderator": _id("3"), "admin": _id("4"), "bare": _id("5"), "ghost": _id("6"),
    "private": _id("a"), "public": _id("b"), "hidden": _id("c"), "theirs": _id("d"), "theirs_private": _id("e"),
    "public_list": _id("b0"), "private_list": _id("a0"), "private_match": _id("aa"), "public_match": _id("bb"), "report": _id("1d"), "report_of_public": _id("1b"), "turn": _id("1f"), "notification": _id("1e"),
    "zeros": "0" * 64, "vector": "[" + ",".join(["0.5"] * 128) + "]",
}  # fmt: skip

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


@dataclass(frozen=True)
class Row:
    """One row of a table against all actions: where it is, and how it is inserted and changed."""

    table: str
    name: str
    where: str
    select: str = "------"
    insert: str = "------"
    update: str = "------"
    delete: str = "------"
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
            for actor, expected in zip(ACTORS, getattr(self, action), strict=True):
                if expected != "-":
                    what = f"{action} {self.name}"
                    yield Cell(self.table, what, actor, statements[action], expected)


def _measured(table: str, columns: str, values: str, change: str) -> tuple[Row, ...]:
    """A table of what analysis found: seen with its recording, written by the worker."""
    name = f"public.{table}"
    insert = f"({columns}) select {values} from public.audio_files f where f.id = {{theirs}}"
    return (
        Row(name, "of a private recording", "audio_id = {private}", ".y...y", "xxxxxy", "xxxxxy", "xxxxxy", insert, change),
        Row(name, "of a public recording", "audio_id = {public}", "yyyyyy", "------", "xxxxxy", "xxxxxy", "", change),
        Row(name, "of a hidden recording", "audio_id = {hidden}", ".y.yyy", "------", "xxxxxy", "xxxxxy", "", change),
    )  # fmt: skip


TABLES: tuple[Row, ...] = (
    #                                                                      select    insert    update    delete
    Row("public.users", "owner's profile", "id = {owner}",                 "yyyyyy", "xxxxxy", "xy...y", "xxxxxy",
        "(id) values ({ghost})", "bio = 'b'"),
    Row("public.users", "owner's id", "id = {owner}", update="xxxxx-", change="id = {ghost}"),
    Row("public.user_preferences", "owner's", "user_id = {owner}",         "xy...y", "xxxxxy", "xy...y", "xxxxxy",
        "(user_id) values ({bare})", "theme = 'dark'"),
    # Statements that read no column meet no SELECT policy: these are for the others alone.
    Row("public.user_preferences", "whose they are", "true", update="xxxxx-", change="user_id = {bare}"),
    Row("public.user_preferences", "all", "true", update="xy.yyy", change="theme = 'dark'"),
    Row("public.user_roles", "moderator's", "user_id = {moderator}",       "x..yyy", "xxxxyy", "xxxxxy", "x...yy",
        "(user_id, role) values ({other}, 'moderator')", "role = 'admin'"),
    Row("public.user_roles", "own", "user_id = {owner}", insert="xxxxyy", values="(user_id, role) values ({owner}, 'admin')"),
    Row("public.role_permissions", "any", "role = 'moderator' and permission = 'reports.handle'",
                                                                           "xyyyyy", "xxxxxx", "xxxxxx", "xxxxxx",
        "(role, permission) values ('user', 'roles.assign')", "role = 'user'"),
    Row("public.audio_files", "private", "id = {private}",                 ".y...y", "xyxxxy", "xy...y", "xy...y",
        "(user_id, title, file_path) values ({owner}, 't', 'public/new.wav')", "title = 't'"),
    Row("public.audio_files", "public", "id = {public}",                   "yyyyyy", "xyxxxy", "xy...y", "xy...y",
        "(user_id, title, file_path, is_public) values ({owner}, 't', 'public/new.wav', true)", "is_public = false"),
    Row("public.audio_files", "hidden", "id = {hidden}",                   ".y.yyy", "xxxxxy", "xy...y", "xy...y",
        "(user_id, title, file_path, hidden_at, hidden_reason) values ({owner}, 't', 'public/new.wav', now(), 'r')",
        "is_public = true"),
    Row("public.audio_files", "status", "id = {public}", update="xxxxxy", change="status = status"),
    Row("public.audio_files", "hidden_at", "id = {hidden}", update="xxxxxy", change="hidden_at = null, hidden_reason = null"),
    Row("public.audio_files", "owner", "id = {public}", update="xxxxxy", change="user_id = {other}"),
    *_measured("audio_features",
        "audio_id, user_id, is_listed, object_version, analysis_version, duration_s, sha256, waveform_path, descriptors",
        "f.id, f.user_id, f.is_listed, '1', '1', 1, {zeros}, 'w', '{{}}'", "tempo_bpm = 60"),
    *_measured("audio_tags", "audio_id, user_id, is_listed, label, confidence, start_s, end_s",
        "f.id, f.user_id, f.is_listed, 'Music', 1, 0, 1", "confidence = 1"),
    *_measured("audio_embeddings", "audio_id, user_id, is_listed, space, embedding",
        "f.id, f.user_id, f.is_listed, 's', {vector}::extensions.halfvec", "space = 's'"),
    Row("public.audio_matches", "of a private recording", "audio_id = {private}", ".y.yyy", "xxxxxy", "xxxxxy", "xxxxxy",
        "(audio_id, matched_audio_id, kind, confidence) values ({private}, {theirs_private}, 'identical', 1)", "confidence = 1"),
    Row("public.audio_matches", "of public ones", "audio_id = {public}",   "yyyyyy", "xxxxxy", "xxxxxy", "xxxxxy",
        "(audio_id, matched_audio_id, kind, confidence) values ({public}, {theirs_private}, 'identical', 1)", "confidence = 1"),
    Row("public.audio_matches", "of a hidden one", "audio_id = {hidden}",  ".y.yyy", "------", "xxxxxy", "xxxxxy",
        change="confidence = 1"),
    Row("public.playlists", "private", "id = {private_list}",              ".y...y", "xyxxxy", "xy...y", "xy...y",
        "(user_id, title) values ({owner}, 't')", "title = 't'"),
    Row("public.playlists", "public", "id = {public_list}",                "yyyyyy", "xyxxxy", "xy...y", "xy...y",
        "(user_id, title, is_public) values ({owner}, 't', true)", "title = 't'"),
    Row("public.playlists", "owner", "id = {public_list}", update="xxxxxy", change="user_id = {other}"),
    Row("public.playlist_items", "public recording in a public list", "playlist_id = {public_list} and audio_id = {public}",
                                                                           "yyyyyy", "xyxxxy", "xxxxxx", "xy...y",
        "(playlist_id, audio_id) values ({public_list}, {theirs})", "position = 9"),
    Row("public.playlist_items", "private recording in a public list", "playlist_id = {public_list} and audio_id = {private}",
                                                                           ".y...y", "xyxxxy", "xxxxxx", "xy...y",
        "(playlist_id, audio_id) values ({public_list}, {private})", "position = 9"),
    Row("public.playlist_items", "hidden recording in a public list", "playlist_id = {public_list} and audio_id = {hidden}",
                                                                           ".y.yyy", "xyxxxy", "xxxxxx", "xy...y",
        "(playlist_id, audio_id) values ({public_list}, {hidden})", "position = 9"),
    Row("public.playlist_items", "public recording in a private list", "playlist_id = {private_list}",
                                                                           ".y...y", "xxxxxy", "xxxxxx", "xy...y",
        "(playlist_id, audio_id) values ({private_list}, {theirs_private})", "audio_id = {theirs}"),
    Row("public.likes", "owner's", "user_id = {owner}",                    "xy...y", "xyxxxy", "xxxxxy", "xy...y",
        "(user_id, audio_id) values ({owner}, {theirs})", "created_at = now()"),
    Row("public.likes", "all", "true", delete="xy...y"),
    Row("public.likes", "of what one does not see", "user_id = {owner}", insert="xxxxxy",
        values="(user_id, audio_id) values ({owner}, {theirs_private})"),
    Row("public.listening_events", "owner's", "user_id = {owner}",         "xy...y", "xyxxxy", "xxxxxy", "xy...y",
        "(user_id, audio_id, listened_s, completed) values ({owner}, {theirs}, 3, true)", "listened_s = 1"),
    Row("public.listening_events", "all", "true", delete="xy...y"),
    Row("public.listening_events", "of what one does not see", "user_id = {owner}", insert="xxxxxy",
        values="(user_id, audio_id) values ({owner}, {theirs_private})"),
    Row("public.impressions", "owner's", "user_id = {owner}",              "xy...y", "xxxxxy", "xxxxxy", "xy...y",
        "(answer_id, place, user_id, audio_id, reason, score, seed) values (gen_random_uuid(), 1, {owner}, {theirs}, 'liked', 1, 1)",
        "reason = 'liked'"),
    Row("public.impressions", "all", "true", delete="xy...y"),
    Row("public.mood_rules", "any", "mood = 'calm' and rule = 'quiet'",    "yyyyyy", "xxxxxx", "xxxxxx", "xxxxxx",
        "(mood, rule, points, labels) values ('calm', 'new', 0.1, '{{calm}}')", "points = 0.1"),
    Row("public.notifications", "owner's", "id = {notification}",          "xy...y", "xxxxxy", "xy...y", "xy...y",
        "(user_id, kind, audio_id, trace_id) values ({owner}, 'recording_ready', {private}, 't')", "read_at = now()"),
    Row("public.notifications", "all", "true", update="xy...y", delete="xy...y", change="read_at = now()"),
    Row("public.notifications", "whose they are", "true", update="xxxxx-", change="user_id = {other}"),
    Row("public.notifications", "rewritten", "id = {notification}", update="xxxxxy", change="kind = 'recording_failed'"),
    Row("public.reports", "by owner", "id = {report}",                     "xy.yyy", "------", "xxxxxy", "xxxxxy",
        change="assigned_at = now()"),
    Row("public.reports", "by another", "id = {report_of_public}",         "x..yyy", "xxyxxy", "xxxxxy", "xxxxxy",
        "(audio_id, reporter_id, reason) values ({public}, {other}, 'other')", "reason = 'other'"),
    Row("public.reports", "of one's own recording", "id = {report}", insert="xxxxxy",
        values="(audio_id, reporter_id, reason) values ({public}, {owner}, 'spam')"),
    Row("public.reports", "of what one does not see", "id = {report}", insert="xxxxxy",
        values="(audio_id, reporter_id, reason) values ({theirs_private}, {owner}, 'spam')"),
    Row("public.report_assignments", "of owner's report", "report_id = {report}", "x..yyy", "xxxxxy", "xxxxxy", "xxxxxy",
        "(report_id, assignee_id) values ({report_of_public}, {moderator})", "assignee_id = {admin}"),
    # What models say, behind the functions that recommend: read with the caller's rights, written by the worker's functions.
    Row("soundscape.recommendation_models", "in force", "id = (select max(model_id) from soundscape.item_factors)",
                                                                           "xyyyyx", "xxxxxx", "xxxxxx", "xxxxxx",
        "(state) values ('staged')", "slot = 1", columns="id, state, slot, space, settings"),
    Row("soundscape.recommendation_models", "of former times", "state = 'retired'", "x....x", columns="id, state"),
    Row("soundscape.recommendation_models", "worth", "true", "xxxxxx", columns="figures"),
    Row("soundscape.item_factors", "of a public recording", "audio_id = {public}", "xyyyyx", "xxxxxx", "xxxxxx", "xxxxxx",
        "select * from soundscape.item_factors", "slot = 1"),
    Row("soundscape.item_factors", "of a recording that is not listed", "audio_id = {hidden}", "x....x"),
    Row("soundscape.item_neighbours", "of public recordings", "audio_id = {public} and neighbour_id = {theirs}",
                                                                           "xyyyyx", "xxxxxx", "xxxxxx", "xxxxxx",
        "select * from soundscape.item_neighbours", "weight = 1"),
    Row("soundscape.item_neighbours", "of a recording that is not listed", "audio_id = {hidden}", "x....x"),
    Row("soundscape.item_neighbours", "that is not listed", "neighbour_id = {hidden}", "x....x"),
    Row("soundscape.factor_maps", "any", "true",                           "xxxxxx", "xxxxxx", "xxxxxx", "xxxxxx",
        "select * from soundscape.factor_maps", "intercept = 1"),
    # Platform tables: everybody holds grants there, policies decide.
    Row("storage.buckets", "spare", "id = 'spare'",                        ".....y", "xxxxxy", ".....y", ".....y",
        "(id, name) values ('new', 'new')", "public = true"),
    Row("realtime.messages", "any", "topic = 'audio'",                     ".....y", "xxxxxy", ".....y", "------",
        "(topic, extension, payload, private) values ('audio', 'broadcast', '{{}}', true)", "event = 'other'"),
)  # fmt: skip


def _object(
    bucket: str,
    name: str,
    where: str,
    select: str,
    insert: str,
    update: str,
    delete: str,
    *,
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
    #                                                                      select    insert    update    delete
    _object("audio-files", "private", "name = 'public/private.wav'",       ".y...y", "xyyyyy", ".y...y", ".y...y",
        path="'public/new.wav'"),
    _object("audio-files", "public", "name = 'public/public.wav'",         "yyyyyy", "xyxxxy", ".y...y", ".y...y",
        path="{owner} || '/new.wav'"),
    _object("audio-files", "hidden", "name = 'public/hidden.wav'",         ".y.yyy", "xxxxxy", ".y...y", ".y...y",
        path="'elsewhere/new.wav'"),
    _object("audio-files", "undescribed", "name like '%/undescribed.wav'", ".y...y", "xxxxxy", ".y...y", ".y...y",
        path="'new.wav'"),
    _object("audio-files", "into another's folder", "name = 'public/private.wav'", "------", "------", ".x...-", "------",
        change="name = {other} || '/mine.wav'"),
    _object("waveforms", "of a private recording", "name like {private} || '/%'", ".y...y", "xxxxxy", ".....y", ".....y",
        path="{private} || '/2/w.dat'"),
    _object("waveforms", "of a public recording", "name like {public} || '/%'", "yyyyyy", "xxxxxy", ".....y", ".....y",
        path="{owner} || '/w.dat'"),
    _object("waveforms", "of a hidden recording", "name like {hidden} || '/%'", ".y.yyy", "------", ".....y", ".....y"),
    _object("profile-images", "owner's", "name like {owner} || '/%'",      ".y...y", "xyxxxy", ".y...y", ".y...y",
        path="{owner} || '/new.png'"),
    _object("profile-images", "into another's folder", "name like {owner} || '/%'", "------", "------", ".x...-", "------",
        change="name = {other} || '/mine.png'"),
)  # fmt: skip

# Whether a bucket's files are served to everybody without asking.
PUBLIC_BUCKETS = {"audio-files": False, "waveforms": False, "profile-images": True}

# How similar_audio and similar_to_embedding end: diversity and filters.
SIMILAR = (
    "double precision,double precision,double precision,text,text,double precision,double precision,"
    "double precision,double precision,text[],text"
)

SEARCH = "search_audio(text,integer,text,text," + SIMILAR.partition(",")[2] + ")"
FACETS = "search_facets(text," + SIMILAR.partition(",")[2] + ")"

# signature, what, call, outcomes. Functions of the exposed schema, every one.
CALLS: tuple[tuple[str, str, str, str], ...] = (
    ("claim_jobs(text,integer,integer,text[])", "", "select public.claim_jobs('w', 1, 60)", "xxxxxy"),
    ("next_message_s()", "", "select public.next_message_s()", "xxxxxy"),
    ("extend_lease(bigint,text,integer)", "", "select public.extend_lease({job}, {token}, 60)", "xxxxxy"),
    ("complete_job(bigint,text,jsonb)", "", "select public.complete_job({job}, {token}, {result})", "xxxxxy"),
    ("fail_job(bigint,text,text,text,text)", "",
     "select public.fail_job({job}, {token}, 'passing', 'c', 'm')", "xxxxxy"),
    ("reconcile()", "", "select public.reconcile()", "xxxxxy"),
    ("pending_deletions(integer)", "", "select public.pending_deletions(1)", "xxxxx."),
    ("confirm_deletions(text,text[])", "", "select public.confirm_deletions('waveforms', '{{}}')", "xxxxxy"),
    ("list_jobs(text[],uuid,uuid,text,bigint,integer)", "", "select public.list_jobs()", "xxxxxy"),
    ("show_job(bigint)", "", "select public.show_job({job})", "xxxxxy"),
    ("queue_stats()", "", "select public.queue_stats()", "xxxxxy"),
    ("set_queue(boolean,integer,integer)", "", "select public.set_queue()", "xxxxxy"),
    ("retry_jobs(bigint[])", "", "select public.retry_jobs('{{}}')", "xxxxxy"),
    ("cancel_jobs(bigint[])", "", "select public.cancel_jobs(array[{job}::bigint])", "xxxxxy"),
    ("reanalyze(text,jsonb,integer,uuid,boolean)", "", "select public.reanalyze('v')", "xxxxxy"),
    ("cancel_analysis(uuid)", "private", "select public.cancel_analysis({private})", "xyxxxx"),
    ("retry_analysis(uuid)", "private", "select public.retry_analysis({private})", "xyxxxx"),
    ("cancel_analysis(uuid)", "public", "select public.cancel_analysis({public})", "xyxxxx"),
    ("retry_analysis(uuid)", "public", "select public.retry_analysis({public})", "xyxxxx"),
    ("fingerprint_candidates(integer[],integer[],integer,integer,uuid,boolean,uuid)", "",
     "select public.fingerprint_candidates('{{1}}', '{{0}}', 1)", "xxxxx."),
    ("stored_fingerprints(uuid[])", "", "select public.stored_fingerprints('{{}}')", "xxxxx."),
    ("unindexed_recordings(integer,integer,uuid)", "", "select public.unindexed_recordings(1)", "xxxxx."),
    ("index_recording(uuid,text,jsonb)", "", "select public.index_recording({private}, 'v', '{{}}')", "xxxxxy"),
    ("index_snapshot()", "", "select public.index_snapshot()", "xxxxxy"),
    ("pending_comparisons(integer)", "", "select public.pending_comparisons(1)", "xxxxx."),
    ("complete_comparison(uuid,uuid[],jsonb)", "",
     "select public.complete_comparison({private}, '{{}}', '[]')", "xxxxxy"),
    ("dismiss_match(uuid,boolean)", "of a private recording",
     "select public.dismiss_match({private_match})", "xyxyyx"),
    ("dismiss_match(uuid,boolean)", "of public ones", "select public.dismiss_match({public_match})", "xyyyyx"),
    ("custom_access_token_hook(jsonb)", "",
     "select public.custom_access_token_hook('{{\"user_id\": null, \"claims\": {{}}}}')", "xxxxxx"),
    (SEARCH, "private", "select public.search_audio('private')", ".y...."),
    (SEARCH, "public", "select public.search_audio('public')", "yyyyyy"),
    (SEARCH, "hidden", "select public.search_audio('hidden')", ".y...."),
    (SEARCH, "misspelt", "select public.search_audio('privvate')", ".y...."),
    (FACETS, "public", "select public.search_facets('public')", "yyyyyy"),
    (FACETS, "private",
     "select value from public.search_facets('private') where facet = 'label' and value = 'speech'", ".y...."),
    (f"similar_audio(uuid,integer,{SIMILAR})", "to a public one",
     "select public.similar_audio({public})", ".yyyyy"),
    (f"similar_audio(uuid,integer,{SIMILAR})", "to a private one",
     "select public.similar_audio({private})", "-y---y"),
    (f"similar_audio(uuid,integer,{SIMILAR})", "to a hidden one",
     "select public.similar_audio({hidden})", "-y-yyy"),
    (f"similar_to_embedding(text,double precision[],integer,{SIMILAR})", "",
     "select public.similar_to_embedding('test-1', {vector}::extensions.vector::real[]::double precision[])", "yyyyyy"),
    ("radio(uuid,integer,bigint,uuid[])", "from a public one", "select public.radio({public})", ".yyyyy"),
    ("radio(uuid,integer,bigint,uuid[])", "from a private one", "select public.radio({private})", "-y---y"),
    ("mood_mix(text,integer,bigint,uuid[])", "of a public one",
     "select id from public.mood_mix('energy') where id = {public}", "yyyyyy"),
    ("mood_mix(text,integer,bigint,uuid[])", "of a private one",
     "select id from public.mood_mix('energy') where id = {private}", ".y...."),
    ("mood_mix(text,integer,bigint,uuid[])", "of a hidden one",
     "select id from public.mood_mix('energy') where id = {hidden}", ".y...."),
    ("impressions_after(timestamp with time zone,uuid,integer,integer)", "", "select public.impressions_after()", "xxxxxy"),
    # Only what the other has is ready.
    ("recommended_audio(integer,bigint,text[])", "", "select public.recommended_audio()", "xy.yyx"),
    ("begin_fit(double precision)", "", "select public.begin_fit()", "xxxxxy"),
    ("end_fit(uuid)", "", "select public.end_fit({turn})", "xxxxxy"),
    ("fit_history(uuid,integer)", "", "select public.fit_history()", "xxxxxy"),
    ("fit_embeddings(uuid[],text)", "", "select public.fit_embeddings(array[{public}::uuid], 'test-1')", "xxxxxy"),
    ("model_items(bigint,uuid[])", "", "select public.model_items(2, array[{public}::uuid])", "xxxxxy"),
    ("stage_model(uuid,jsonb,jsonb,boolean)", "",
     "select public.stage_model({turn}, '{{\"settings\": {{}}, \"figures\": {{}}, \"people\": 1, \"items\": 1, \"events\": 1}}')", "xxxxxy"),
    ("stage_items(uuid,bigint,jsonb)", "", "select public.stage_items({turn}, 3, '[]')", "xxxxxy"),
    ("stage_cold(uuid,bigint,uuid,integer)", "", "select public.stage_cold({turn}, 3)", "xxxxxy"),
    ("publish_model(uuid,bigint)", "", "select public.publish_model({turn}, 3)", "xxxxxy"),
    ("clear_models(uuid,integer)", "", "select public.clear_models({turn})", "xxxxxy"),
    ("list_models(integer)", "", "select public.list_models()", "xxxxxy"),
    ("move_playlist_item(uuid,integer)", "owner's",
     "select public.move_playlist_item((select id from public.playlist_items where audio_id = {public} "
     "and playlist_id = {public_list}), 3)", "xyxxxx"),
    ("reorder_playlist(uuid,uuid[])", "owner's",
     "select public.reorder_playlist({private_list}, array(select id from public.playlist_items "
     "where playlist_id = {private_list}))", "xyxxxx"),
    ("hide_recording(uuid,text)", "public", "select public.hide_recording({public}, 'r')", "xxxyyx"),
    ("restore_recording(uuid)", "hidden", "select public.restore_recording({hidden})", "xxxyyx"),
    ("assign_report(uuid,uuid)", "", "select public.assign_report({report}, {moderator})", "xxxyyx"),
    ("resolve_report(uuid,text,text)", "dismissed",
     "select public.resolve_report({report}, 'dismissed', 'r')", "xxxyyx"),
    ("resolve_report(uuid,text,text)", "hidden",
     "select public.resolve_report({report_of_public}, 'hidden', 'r')", "xxxyyx"),
)  # fmt: skip

# Auth's own role reaches one table and one function of ours.
AUTH: tuple[Cell, ...] = (
    Cell("public.user_roles", "select any", "auth", "select * from public.user_roles", "y"),
    Cell("public.users", "select any", "auth", "select * from public.users", "x"),
    Cell("public.audio_files", "select any", "auth", "select * from public.audio_files", "x"),
    Cell(
        "public.custom_access_token_hook(jsonb)", "call", "auth",
        "select public.custom_access_token_hook(jsonb_build_object('user_id', {moderator}, 'claims', '{{}}'::jsonb))", "y",
    ),
)  # fmt: skip


def cells() -> list[Cell]:
    """The whole matrix."""
    found = [cell for row in (*TABLES, *BUCKETS) for cell in row.cells()]
    for signature, what, call, outcomes in CALLS:
        found += [
            Cell(f"public.{signature}", f"call {what}".strip(), actor, call, expected)
            for actor, expected in zip(ACTORS, outcomes, strict=True)
            if expected != "-"
        ]
    return found + list(AUTH)


# What is granted, to the letter: nothing but this. Columns where the right is on columns.
_ALL = ("select", "insert", "update", "delete")
READ = {"anon": ("select",), "authenticated": ("select",), "service_role": _ALL}
RIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "users": READ | {"authenticated": ("select", "update (username, display_name, bio, avatar_path)")},
    "user_preferences": {
        "authenticated": (
            "select",
            "update (locale, theme, default_is_public, default_license, settings, favourite_labels)",
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
            "insert (user_id, title, description, file_path, is_public, tags, license, duration)",
            "update (title, description, is_public, tags, license)",
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
    "mood_rules": READ | {"service_role": ("select",)},
    "notifications": {"authenticated": ("select", "delete", "update (read_at)"), "service_role": _ALL},
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
# Who may execute what, in the exposed schema and in the private one. Functions not named: nobody.
EXECUTE: dict[str, tuple[str, ...]] = {
    "public.custom_access_token_hook(jsonb)": ("supabase_auth_admin",),
    "soundscape.check_request()": EVERYBODY,
    "soundscape.uuid_or_null(text)": EVERYBODY,
    "soundscape.owner_of(text,text)": EVERYBODY,
    "soundscape.fold(text)": EVERYBODY,
    "soundscape.labels(text[],jsonb)": EVERYBODY,
    "soundscape.plain_words(text)": EVERYBODY,
    "soundscape.unspaced_letter()": EVERYBODY,
    "soundscape.pair_letters(text)": EVERYBODY,
    "soundscape.last_letters(text)": EVERYBODY,
    "soundscape.document_words(text)": EVERYBODY,
    "soundscape.open_single_letters(tsquery)": EVERYBODY,
    "soundscape.search_document(text,text,text[],jsonb)": EVERYBODY,
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
    "soundscape.nearest(text,halfvec,integer,soundscape.audio_filter,uuid[])": EVERYBODY,
    "soundscape.nearest_filtered(text,halfvec,integer,soundscape.audio_filter,uuid[])": EVERYBODY,
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
    "public.recommended_audio(integer,bigint,text[])": SIGNED_IN,
    **{
        f"{schema}.{signature}": who
        for schema in ("public", "soundscape")
        for who, signatures in (
            (
                WORKER,
                (
                    "claim_jobs(text,integer,integer,text[])",
                    "next_message_s()",
                    "extend_lease(bigint,text,integer)",
                    "complete_job(bigint,text,jsonb)",
                    "fail_job(bigint,text,text,text,text)",
                    "reconcile()",
                    "pending_deletions(integer)",
                    "confirm_deletions(text,text[])",
                    "list_jobs(text[],uuid,uuid,text,bigint,integer)",
                    "show_job(bigint)",
                    "queue_stats()",
                    "set_queue(boolean,integer,integer)",
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
                    "cancel_analysis(uuid)",
                    "retry_analysis(uuid)",
                    "dismiss_match(uuid,boolean)",
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

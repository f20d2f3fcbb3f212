"""The function that the Data API calls before each request: PostgREST's `db_pre_request`.

Set as a setting of PostgREST's role (https://docs.postgrest.org/en/stable/references/transactions.html), in
this database alone.
"""

from __future__ import annotations

from soundscape.deploy.connection import PRELUDE, DatabaseConnection, Part

FUNCTION = "soundscape.check_request"
STATEMENT = f"alter role authenticator set pgrst.db_pre_request = '{FUNCTION}'; notify pgrst, 'reload config'"

_CURRENT = Part(
    "reading the Data API's settings",
    """
select split_part(setting, '=', 2) as function
from pg_db_role_setting s cross join unnest(s.setconfig) as setting
where s.setrole = 'authenticator'::regrole and setting like 'pgrst.db_pre_request=%'
  and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
order by s.setdatabase desc
limit 1
""",
)
# The name of the database is not known to the Management API.
_SET = Part(
    "setting the Data API's pre-request",
    f"""
do $$ begin
    execute format('alter role authenticator in database %I set pgrst.db_pre_request = %L',
                   current_database(), '{FUNCTION}');
end $$;
notify pgrst, 'reload config'
""",
)


def read_function(database: DatabaseConnection) -> str | None:
    """Return the function that the Data API calls before each request."""
    rows = database.run(_CURRENT)
    return rows[0]["function"] if rows else None


def describe_change(database: DatabaseConnection) -> str | None:
    """Return what a deploy will set, and instead of what; None where nothing changes."""
    current = read_function(database)
    if current == FUNCTION:
        return None
    return FUNCTION if current is None else f"{FUNCTION} (instead of {current})"


def set_function(database: DatabaseConnection) -> None:
    """Have the Data API call `FUNCTION` before each request."""
    database.run(PRELUDE, _SET)

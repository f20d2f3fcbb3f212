-- The statements of the workers of pg_net and pg_cron by name.

-- name: take_requests
-- Materialized: a join may run a subquery once for each row, and each time it finds further ones to lock.
with taken as materialized (
    select id from net.http_request_queue order by id limit %(limit)s for update skip locked)
delete from net.http_request_queue q using taken where q.id = taken.id
returning q.id, q.method, q.url, q.headers, q.body, q.timeout_milliseconds

-- name: keep_response
insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
select id, status_code, headers ->> 'content-type', headers, content, coalesce(timed_out, false), error_msg
from jsonb_populate_record(null::net._http_response, %(response)s)

-- name: forget_responses
delete from net._http_response where created < now() - interval '6 hours'

-- name: has_cron
select oid from pg_class where oid = to_regclass('cron.job')

-- name: due_jobs
select jobid, command, username from cron.job
where active and cron._is_due(schedule, %(now)s, (%(last_runs)s::jsonb ->> jobid::text)::timestamptz)

-- name: keep_run
with gone as (
    delete from cron.job_run_details where start_time < now() - interval '1 day'
)
insert into cron.job_run_details (jobid, database, username, command, status, return_message, start_time, end_time)
values (%(jobid)s, 'postgres', %(username)s, %(command)s, %(status)s, %(message)s, %(started)s, clock_timestamp())

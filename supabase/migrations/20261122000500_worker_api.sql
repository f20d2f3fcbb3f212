-- The worker's door: thin functions in the exposed schema that only the service role may execute.
-- They run with the caller's rights; the work is done by their namesakes in the private schema.

create function public.claim_jobs(
    worker text, max_jobs integer default 1, lease_s integer default 60, holding text[] default null
)
returns table (
    job_id bigint, token text, trace_id text, attempt integer, audio_id uuid, user_id uuid,
    object_name text, object_version text, size_bytes bigint, content_type text
)
language sql set search_path = ''
as $$ select * from soundscape.claim_jobs(worker, max_jobs, lease_s, holding) $$;
comment on function public.claim_jobs(text, integer, integer, text[]) is 'Worker only: take jobs for lease_s seconds.';

create function public.next_message_s() returns double precision
language sql stable set search_path = ''
as $$ select soundscape.next_message_s() $$;
comment on function public.next_message_s() is 'Worker only: seconds until a claim may find something; null where nothing is on its way.';

create function public.extend_lease(job_id bigint, token text, lease_s integer default 60) returns timestamptz
language sql set search_path = ''
as $$ select soundscape.extend_lease(job_id, token, lease_s) $$;
comment on function public.extend_lease(bigint, text, integer) is 'Worker only: heartbeat.';

create function public.complete_job(job_id bigint, token text, result jsonb) returns void
language sql set search_path = ''
as $$ select soundscape.complete_job(job_id, token, result) $$;
comment on function public.complete_job(bigint, text, jsonb) is 'Worker only: write the results and end the job.';

create function public.fail_job(job_id bigint, token text, kind text, code text, message text) returns text
language sql set search_path = ''
as $$ select soundscape.fail_job(job_id, token, kind, code, message) $$;
comment on function public.fail_job(bigint, text, text, text, text) is 'Worker only: refuse a recording, or put its job back.';

create function public.reconcile() returns jsonb
language sql set search_path = ''
as $$ select soundscape.reconcile() $$;
comment on function public.reconcile() is 'Worker only: sweep.';

create function public.pending_removals(most integer default 100) returns table (bucket_id text, names text[])
language sql set search_path = ''
as $$ select * from soundscape.pending_removals(most) $$;
comment on function public.pending_removals(integer) is 'Worker only: objects to delete.';

create function public.forget_removals(bucket text, removed text[]) returns void
language sql set search_path = ''
as $$ select soundscape.forget_removals(bucket, removed) $$;
comment on function public.forget_removals(text, text[]) is 'Worker only: those objects are deleted.';

-- What an admin sees of the project without the secret key: the queue, dead letters, storage.

create function soundscape.operator_overview() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform soundscape.require_permission('roles.assign');
    return soundscape.queue_stats() || jsonb_build_object(
        'recordings', (
            select coalesce(jsonb_object_agg(s.status, s.recordings), '{}') from (
                select f.status, count(*) as recordings from public.audio_files f group by f.status) s),
        'storage', (
            select coalesce(
                jsonb_object_agg(s.bucket_id, jsonb_build_object('objects', s.objects, 'bytes', s.bytes)), '{}')
            from (
                select o.bucket_id, count(*) as objects, coalesce(sum((o.metadata ->> 'size')::bigint), 0) as bytes
                from storage.objects o group by o.bucket_id) s),
        'dead_letters', (
            select coalesce(jsonb_agg(to_jsonb(d) order by d.finished_at desc), '[]') from (
                select j.id as job_id, j.audio_id, j.error_code, j.error_message, j.attempt as attempts, j.finished_at
                from soundscape.jobs j where j.state = 'dead' order by j.finished_at desc limit 50) d));
end
$$;
comment on function soundscape.operator_overview()
    is 'For admins. The queue, recordings by status, objects and bytes by bucket, and the newest 50 dead letters.';

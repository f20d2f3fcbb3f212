-- Moderation: reports, and what moderators do about them.

create table public.reports (
    id uuid primary key default gen_random_uuid(),
    audio_id uuid not null references public.audio_files (id) on delete cascade,
    reporter_id uuid default auth.uid() references public.users (id) on delete set null,
    reason text not null check (reason in ('copyright', 'illegal', 'offensive', 'spam', 'misleading', 'other')),
    details text check (char_length(details) <= 5000),
    assigned_at timestamptz,
    resolution text check (resolution in ('hidden', 'dismissed')),
    resolution_reason text check (char_length(btrim(resolution_reason)) between 1 and 1000),
    resolved_at timestamptz,
    status text not null generated always as (
        case when resolved_at is not null then 'resolved' when assigned_at is not null then 'assigned'
            else 'open' end) stored,
    created_at timestamptz not null default now(),
    check ((resolved_at is null) = (resolution is null)),
    check ((resolved_at is null) = (resolution_reason is null))
);
alter table public.reports enable row level security;
create unique index reports_unresolved on public.reports (audio_id, reporter_id) where resolved_at is null;
create index reports_by_recording on public.reports (audio_id);
create index reports_by_reporter on public.reports (reporter_id);
create index reports_waiting on public.reports (created_at) where resolved_at is null;
comment on table public.reports
    is 'Somebody thinks that a recording should not be public. Visible to the reporter and to moderators.';
comment on column public.reports.id is 'The report.';
comment on column public.reports.audio_id is 'The recording.';
comment on column public.reports.reporter_id is 'Who reported it. Null once that account is deleted.';
comment on column public.reports.reason is 'copyright, illegal, offensive, spam, misleading or other.';
comment on column public.reports.details is 'In the reporter''s words, at most 5000 characters.';
comment on column public.reports.assigned_at is 'Since when a moderator handles it. report_assignments says who.';
comment on column public.reports.resolution is 'hidden: the recording was hidden. dismissed: nothing was done.';
comment on column public.reports.resolution_reason
    is 'Why. If the recording was hidden, its owner reads this as hidden_reason.';
comment on column public.reports.resolved_at is 'When it was resolved.';
comment on column public.reports.status is 'open, assigned or resolved.';
comment on column public.reports.created_at is 'When it was reported.';

-- A table of its own, because whoever may read a row reads all of it. A reporter learns what is done, but not by whom.
create table public.report_assignments (
    report_id uuid primary key references public.reports (id) on delete cascade,
    assignee_id uuid not null references public.users (id) on delete cascade,
    created_at timestamptz not null default now()
);
alter table public.report_assignments enable row level security;
create index report_assignments_by_assignee on public.report_assignments (assignee_id);
comment on table public.report_assignments is 'Which moderator handles or handled a report. Visible to moderators.';
comment on column public.report_assignments.report_id is 'The report.';
comment on column public.report_assignments.assignee_id is 'The moderator.';
comment on column public.report_assignments.created_at is 'Since when.';

create function soundscape.follow_assignment() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- An assignment is deleted with the moderator's account. An unresolved report is open again then.
    update public.reports set assigned_at = case when tg_op <> 'DELETE' then new.created_at end
    where id = coalesce(new.report_id, old.report_id);
    return null;
end
$$;
comment on function soundscape.follow_assignment()
    is 'Trigger on report_assignments: updates assigned_at of the report.';
create trigger report_assignments_follow after insert or update or delete on public.report_assignments
    for each row execute function soundscape.follow_assignment();

create function soundscape.require_permission(requested_permission public.app_permission) returns void
language plpgsql stable set search_path = '' as $$
begin
    if not soundscape.authorize(requested_permission) then
        raise exception 'You need the permission %.', requested_permission using errcode = '42501',
            hint = 'An admin assigns roles in user_roles.';
    end if;
end
$$;
comment on function soundscape.require_permission(public.app_permission)
    is 'Raises an error unless the caller has the permission.';

create function soundscape.lock_moderated_recording(recording uuid) returns public.audio_files
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files;
begin
    perform soundscape.require_permission('recordings.moderate');
    select * into file from public.audio_files f
    where f.id = recording and (f.is_public or f.hidden_at is not null) for update;
    if file.id is null then
        raise exception 'There is no such public recording.' using errcode = 'PT404';
    elsif file.user_id = (select auth.uid()) then
        raise exception 'You cannot moderate your own recording.' using errcode = '42501',
            hint = 'Ask another moderator.';
    end if;
    return file;
end
$$;
comment on function soundscape.lock_moderated_recording(uuid)
    is 'Locks and returns a recording that the caller may moderate. Private recordings cannot be moderated.';

create function soundscape.hide_recording(recording uuid, reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files := soundscape.lock_moderated_recording(recording);
begin
    update public.audio_files set hidden_at = coalesce(file.hidden_at, now()), hidden_reason = coalesce(reason, '')
    where id = file.id;
end
$$;
comment on function soundscape.hide_recording(uuid, text)
    is 'For moderators. Hides a recording from everybody but its owner, who can read the reason.';

create function soundscape.restore_recording(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    file public.audio_files := soundscape.lock_moderated_recording(recording);
begin
    update public.audio_files set hidden_at = null, hidden_reason = null where id = file.id;
end
$$;
comment on function soundscape.restore_recording(uuid) is 'For moderators. Shows a hidden recording again.';

create function soundscape.assign_report(report uuid, assignee uuid default auth.uid()) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform soundscape.require_permission('reports.handle');
    if assignee is not null and not soundscape.has_permission(assignee, 'reports.handle') then
        raise exception 'The assignee may not handle reports.' using errcode = '22023';
    end if;
    -- The owner of the recording must not learn of the report: for them it does not exist.
    perform from public.reports r join public.audio_files f on f.id = r.audio_id
    where r.id = report and r.resolved_at is null and f.user_id <> (select auth.uid()) for update of r;
    if not found then
        raise exception 'There is no such unresolved report.' using errcode = 'PT404';
    elsif exists (
        select from public.reports r join public.audio_files f on f.id = r.audio_id
        where r.id = report and f.user_id = assignee)
    then
        raise exception 'You cannot moderate your own recording.' using errcode = '42501',
            hint = 'Choose another moderator.';
    end if;
    delete from public.report_assignments a where a.report_id = report;
    insert into public.report_assignments (report_id, assignee_id) select report, assignee where assignee is not null;
end
$$;
comment on function soundscape.assign_report(uuid, uuid)
    is 'For moderators. Takes a report, gives it to another moderator, or (assignee null) gives it back.';

create function soundscape.resolve_report(report uuid, resolution text, reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    found_report public.reports;
begin
    perform soundscape.require_permission('reports.handle');
    select r.* into found_report from public.reports r join public.audio_files f on f.id = r.audio_id
    where r.id = report and r.resolved_at is null and f.user_id <> (select auth.uid()) for update of r;
    if found_report.id is null then
        raise exception 'There is no such unresolved report.' using errcode = 'PT404';
    end if;
    -- A recording that its owner has made private is hidden too. Otherwise it could be public again a minute later.
    if resolution = 'hidden' then
        update public.audio_files f
        set hidden_at = coalesce(f.hidden_at, now()), hidden_reason = coalesce(resolve_report.reason, '')
        where f.id = found_report.audio_id;
    end if;
    update public.reports r
    set resolution = coalesce(resolve_report.resolution, ''), resolution_reason = coalesce(resolve_report.reason, ''),
        resolved_at = now()
    where r.id = report;
    insert into public.report_assignments (report_id, assignee_id) values (report, (select auth.uid()))
    on conflict (report_id) do nothing;
end
$$;
comment on function soundscape.resolve_report(uuid, text, text)
    is 'For moderators. Ends a report as hidden or dismissed, with a reason. hidden hides the recording in the same '
       'transaction.';

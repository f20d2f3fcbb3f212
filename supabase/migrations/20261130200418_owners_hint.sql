-- The remedy fits every function that only an owner may call: captions are no analysis.
create or replace function soundscape.lock_own_recording(recording uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform from public.users where id = (select auth.uid()) for key share;
    perform from public.audio_files where id = recording and user_id = (select auth.uid()) for update;
    if not found then
        raise exception 'You have no recording with the id %.', recording
            using errcode = '42501', hint = 'Only its owner may do this. Sign in as the owner.';
    end if;
end
$$;

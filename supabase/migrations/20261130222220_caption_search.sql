-- search_audio finds recordings by their caption too: its sentence counts as a description does, keywords as labels.
--
-- A generated column sees only its own row, so a trigger writes audio_files.search now. Nothing is rewritten: the words
-- that are stored stay, and captions that exist are added below.

alter table public.audio_files alter column search drop expression;
alter table public.audio_files alter column search set default '';
comment on column public.audio_files.search
    is 'The words of title, tags, description, labels and caption, for full-text search. A trigger writes it.';

create function soundscape.caption_document(caption text, keywords text[]) returns tsvector
language sql immutable parallel safe set search_path = ''
return setweight(soundscape.document_words(caption), 'C')
    || setweight(soundscape.document_words(array_to_string(keywords, ' ')), 'D');
comment on function soundscape.caption_document(text, text[])
    is 'The words of a caption. The sentence weighs what a description weighs, the keywords what labels weigh.';

create function soundscape.set_search() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'UPDATE' and (new.title, new.description, new.tags, new.heard, new.search)
        is not distinct from (old.title, old.description, old.tags, old.heard, old.search)
    then
        return new;
    end if;
    new.search := soundscape.search_document(new.title, new.description, new.tags, new.heard);
    if tg_op = 'UPDATE' then
        new.search := new.search || coalesce((
            select soundscape.caption_document(c.caption, c.keywords)
            from public.audio_captions c where c.audio_id = new.id and c.caption is not null), '');
    end if;
    return new;
end
$$;
comment on function soundscape.set_search()
    is 'Trigger on audio_files: the words by which it is found. Whatever is written to search is replaced by them.';
-- Triggers run by name: this one sees what the others made of the row.
create trigger audio_files_write_search before insert or update on public.audio_files
    for each row execute function soundscape.set_search();
-- Also where triggers are switched off to fill a table: the words belong to the row, as a generated column does.
alter table public.audio_files enable always trigger audio_files_write_search;
create or replace trigger audio_files_words
    after insert or delete or update of title, tags, heard, search, is_public, hidden_at, status, analyzed_at
    on public.audio_files for each row execute function soundscape.on_words_changed();

create function soundscape.on_caption_words() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.audio_files f set search = '' where f.id = new.audio_id;
    return null;
end
$$;
comment on function soundscape.on_caption_words()
    is 'Trigger on audio_captions: has set_search make the words of the recording anew.';
create trigger audio_captions_inserted after insert on public.audio_captions
    for each row when (new.caption is not null) execute function soundscape.on_caption_words();
create trigger audio_captions_changed after update on public.audio_captions
    for each row when ((new.caption, new.keywords) is distinct from (old.caption, old.keywords))
    execute function soundscape.on_caption_words();

update public.audio_files f set search = ''
from public.audio_captions c where c.audio_id = f.id and c.caption is not null;

create or replace function soundscape.complete_caption(
    recording uuid, token uuid, caption text, keywords text[], model text, version integer, tokens integer
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    -- The recording first, as whoever changes it does: two that wait for one another would be a deadlock.
    perform from public.audio_files f where f.id = recording for no key update;
    perform soundscape.end_caption_job(recording, token, tokens);
    delete from soundscape.caption_jobs j where j.audio_id = recording;
    -- The owner may have said no meanwhile.
    if soundscape.caption_problem(recording) is null then
        update public.audio_captions c
        set status = 'ready', error_code = null, caption = complete_caption.caption,
            keywords = complete_caption.keywords, model = complete_caption.model,
            version = complete_caption.version, updated_at = now()
        where c.audio_id = recording and not c.is_by_owner;
    end if;
end
$$;

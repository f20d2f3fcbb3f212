-- The words that recordings are found by, to correct a misspelt query with: small, where the recordings are many.

create function soundscape.is_findable(file public.audio_files) returns boolean
language sql immutable parallel safe set search_path = ''
-- Rows alone cost nothing: what everybody finds has bytes that are, or will be, heard.
return (file).is_listed and ((file).status in ('queued', 'analyzing', 'ready') or (file).analyzed_at is not null);
comment on function soundscape.is_findable(public.audio_files) is 'Whether everybody finds it by its words: it is listed, and has bytes that were not refused.';

create table soundscape.vocabulary (
    word text primary key
);
alter table soundscape.vocabulary enable row level security;
create index vocabulary_by_spelling on soundscape.vocabulary using gin (word extensions.gin_trgm_ops);
comment on table soundscape.vocabulary is 'Words of titles, tags and what was heard, of recordings that everybody finds. Those of a private one are not among them.';
comment on column soundscape.vocabulary.word is 'As search compares it: 3 to 40 characters, no digits.';

create table soundscape.former_words (
    id bigint generated always as identity primary key,
    word text not null
);
alter table soundscape.former_words enable row level security;
comment on table soundscape.former_words is 'Words that a recording had and that perhaps none has any more: the sweep looks.';
comment on column soundscape.former_words.id is 'In the order of their leaving.';
comment on column soundscape.former_words.word is 'The word.';

create function soundscape.spelt_words(search tsvector) returns text[]
language sql immutable parallel safe set search_path = ''
return array(
    select word from unnest(tsvector_to_array(ts_filter(search, '{a,b,d}'))) as word
    where char_length(word) between 3 and 40 and word !~ '[[:digit:]]');
comment on function soundscape.spelt_words(tsvector) is 'The words of a recording that somebody may mean who misspells them: not of its description, and none with digits.';

create function soundscape.on_words_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    former text[] := '{}';
    present text[] := '{}';
begin
    if tg_op <> 'INSERT' and soundscape.is_findable(old) then
        former := soundscape.spelt_words(old.search);
    end if;
    if tg_op <> 'DELETE' and soundscape.is_findable(new) then
        present := soundscape.spelt_words(new.search);
    end if;
    if former = present then
        return null;
    end if;
    -- In one order, so that two who bring the same words do not wait for each other.
    insert into soundscape.vocabulary (word)
    select p.word from unnest(present) as p (word)
    where not exists (select from soundscape.vocabulary v where v.word = p.word)
    order by p.word on conflict do nothing;
    insert into soundscape.former_words (word) select f.word from unnest(former) as f (word) where f.word <> all (present);
    return null;
end
$$;
comment on function soundscape.on_words_changed() is 'Trigger on audio_files: the words it brings are known at once, those it takes away are looked at later.';

create trigger audio_files_words after insert or delete or update of title, tags, heard, is_public, hidden_at, status, analyzed_at
    on public.audio_files for each row execute function soundscape.on_words_changed();

create function soundscape.forget_words(most integer) returns void
language sql security definer set search_path = '' as $$
    with looked_at as (
        delete from soundscape.former_words w
        where w.id in (select o.id from soundscape.former_words o order by o.id limit most) returning w.word)
    delete from soundscape.vocabulary v
    where v.word in (select l.word from looked_at l)
      and not exists (
        select from public.audio_files f
        where f.search @@ format('''%s''', v.word)::tsquery and soundscape.is_findable(f))
$$;
comment on function soundscape.forget_words(integer) is 'Forget words that no recording has any more, of those that one had. A word that arrives in the same moment may be forgotten with them until a recording brings it again.';

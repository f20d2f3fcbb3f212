-- Whether browsers play a recording as it is, and the preview of one that they do not.

alter table public.audio_files
    add column playable boolean,
    add column preview_path text check (char_length(preview_path) <= 1024),
    add column preview_size_bytes bigint check (preview_size_bytes > 0),
    add constraint audio_files_preview_whole check ((preview_path is null) = (preview_size_bytes is null));
comment on column public.audio_files.playable
    is 'Whether Chrome, Firefox and Safari play the original with the right length. Null until it is analysed.';
comment on column public.audio_files.preview_path
    is 'Object name of the preview in the bucket waveforms: MP3, for browsers. Null where there is none.';
comment on column public.audio_files.preview_size_bytes is 'Size of the preview.';

-- What people write about notifications is refused in a sentence, with a code and a remedy.

alter table public.notification_preferences
    drop constraint notification_preferences_channel_check,
    add constraint notification_preferences_channel_check check (soundscape.check_value(
        channel in ('in_app', 'email', 'push'), 'notification_channel_unknown', 'There is no such channel.',
        'Choose in_app, email or push.'));

alter table public.user_preferences
    drop constraint user_preferences_time_zone_check,
    add constraint user_preferences_time_zone_check check (soundscape.check_value(
        soundscape.is_time_zone(time_zone), 'time_zone_unknown', 'There is no such time zone.',
        'Write its name in the IANA database, such as Europe/Berlin.')),
    drop constraint user_preferences_check,
    add constraint user_preferences_quiet_hours_check check (soundscape.check_value(
        (quiet_from is null) = (quiet_until is null), 'quiet_hours_half', 'Quiet hours have a beginning and an end.',
        'Write both quiet_from and quiet_until, or neither.'));

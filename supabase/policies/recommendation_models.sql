-- Whoever is signed in may know which model serves and how it is blended; what it was worth is the operator's.
revoke all on soundscape.recommendation_models from public, anon, authenticated, service_role;
grant select (id, state, slot, space, settings) on soundscape.recommendation_models to authenticated;

drop policy if exists recommendation_models_read on soundscape.recommendation_models;
create policy recommendation_models_read on soundscape.recommendation_models for select to authenticated
    -- Whom the flag is off for has no model: the functions that recommend go by the sound alone.
    using (state = 'in_force' and (select soundscape.flag('recommendation_model', true)));

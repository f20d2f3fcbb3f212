"""Realtime: Phoenix channels on a websocket, with Postgres changes, broadcast and presence.

serializer      frames ⇄ messages, protocol 1.0.0 and 2.0.0
pgoutput        the bytes of the logical stream → changes
binding         one `postgres_changes` entry of a channel, and its filter
authorization   the caller of a token; what policies allow on a private topic
visibility      what a caller may see of changed rows
send_queue      the frames that wait for one client
channel         one joined topic of one client
hub             the channels of each topic, and presence
delivery        changes → the channels that asked for them and may see them
feed            the replication slot → changes
service         hub, feed and limits, which all connections share
join            what a `phx_join` asks for
connection      one websocket: what its client sends
app             routes

`realtime.seen` in `schema/40_realtime.sql` decides what a row shows to whom, and which filters it passes.
"""

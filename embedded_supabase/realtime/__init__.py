"""Realtime: Phoenix channels over one websocket, Postgres changes, broadcast and presence.

serializer      frames ⇄ messages, protocol 1.0.0 and 2.0.0
pgoutput        the bytes of the logical stream → changes
binding         one `postgres_changes` entry of a channel, and its filter
visibility      what a caller may see of changed rows, asked of the database as that caller
delivery        changes → the channels that asked for them and may see them
feed            the slot: what was committed, within milliseconds
authorization   who a token is, and what the policies on realtime.messages allow on a private topic
channel         one joined topic of one client
connection      one websocket: its channels, its queue, its limits
hub             topics, who is on them and who is present
app             routes, and what they share with the background work

What a row shows to whom and which filters it passes is decided in SQL: `realtime.seen` in
`schema/40_realtime.sql`.
"""

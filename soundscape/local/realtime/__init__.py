"""Realtime: Phoenix channels over one websocket, Postgres changes, broadcast and presence.

serializer      frames ⇄ messages, protocol 1.0.0 and 2.0.0
pgoutput        the bytes of the logical stream → changes
filter          `column=op.value,…` → SQL conditions
table           what the catalogue says of a table: keys, types, who may read which column; rows as JSON
binding         one `postgres_changes` entry of a channel
visibility      which changed rows a caller may see, asked of the database as that caller
delivery        changes → the channels that asked for them and may see them
feed            the slot: what was committed, within milliseconds
authorization   what the policies on realtime.messages allow on a private topic
presence        who is tracked on a topic
channel         one joined topic of one client
connection      one websocket: its channels, its queue, its limits
hub             topics and who is on them
service         what the routes and the background work of one stack share
app             routes
"""

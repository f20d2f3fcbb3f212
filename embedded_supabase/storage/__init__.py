"""Storage: buckets, objects, signed URLs and resumable uploads.

A row in `storage.objects` is the truth about an object. Its bytes lie in the data directory under the row's
version. The policies on `storage.objects` decide who may do what.

app          routes, error responses, the sweep
call         one request: its caller, its body, its transactions
buckets, objects, downloads, uploads, tus    the handlers
candidate    an object that a client wants to write
tus_store    resumable uploads on disk
files        bytes on disk
names        valid keys, bucket names, media types and sizes
signatures   the tokens of signed URLs
errors       the codes of the real service
"""

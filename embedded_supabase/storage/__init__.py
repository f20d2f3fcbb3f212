"""The Storage protocol: buckets, objects, signed URLs and resumable uploads over the project's database.

A row in `storage.objects` is the truth about an object; its bytes lie in the data directory under the
row's version. Who may do what is decided by the policies on `storage.objects`, tried as the caller.
"""

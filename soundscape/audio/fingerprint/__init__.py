"""Fingerprints: recognise a recording by its sound, in noise, re-encoded, cut, or played too fast.

    fingerprinter = Fingerprinter()
    fingerprinter.push(S)                       # batches of the shared spectrum
    fingerprint = fingerprinter.result()
    index = Index()
    index.add("first", fingerprint)
    match(query, index).hits

`peaks` finds them, `keys` makes the terms of an inverted index of them, `index` is such an index in
memory, `verify` and `score` judge its candidates, `code` is the binary form; `exact` and `acoustid` are the
identities beside it.
"""

from .acoustid import AcoustId, AcoustIdMeter
from .code import ALGORITHM, FRAME_RATE_HZ, VERSION, Fingerprint, FingerprintError
from .exact import PcmDigest
from .index import Candidate, Candidates, Index
from .keys import KEY_SPACE, Keys, query_keys, stored_keys
from .match import Answer, Hit, Kind, Matches, match
from .peaks import Fingerprinter
from .score import CALIBRATION, THRESHOLD

__all__ = [
    "ALGORITHM",
    "CALIBRATION",
    "FRAME_RATE_HZ",
    "KEY_SPACE",
    "THRESHOLD",
    "VERSION",
    "AcoustId",
    "AcoustIdMeter",
    "Answer",
    "Candidate",
    "Candidates",
    "Fingerprint",
    "FingerprintError",
    "Fingerprinter",
    "Hit",
    "Index",
    "Keys",
    "Kind",
    "Matches",
    "PcmDigest",
    "match",
    "query_keys",
    "stored_keys",
]

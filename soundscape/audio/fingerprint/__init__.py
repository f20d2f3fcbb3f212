"""Fingerprints: find a recording again by its sound, in noise, re-encoded, cut, or played too fast.

    fingerprinter = Fingerprinter()
    fingerprinter.push(S)                       # batches of the shared spectrum
    fingerprint = fingerprinter.result()
    index = MemoryIndex()
    index.add("first", fingerprint)
    find_matches(query, index).matches

The chain is index → candidate → match. `peaks` finds the peaks of a sound, `keys` makes the terms of an
inverted index from them, and `index` finds candidates. `verify` and `score` decide which candidates are
matches. `code` is the binary form. `exact` and `acoustid` are two other identities of a recording.
"""

from .acoustid import AcoustId, AcoustIdMeter
from .code import ALGORITHM, FRAME_RATE_HZ, VERSION, Fingerprint, FingerprintError
from .exact import PcmDigest
from .index import Candidate, Index, MemoryIndex
from .keys import KEY_SPACE, Keys, make_query_keys, make_stored_keys
from .match import Match, MatchKind, MatchResult, Verdict, find_matches
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
    "Candidate",
    "Fingerprint",
    "FingerprintError",
    "Fingerprinter",
    "Index",
    "Keys",
    "Match",
    "MatchKind",
    "MatchResult",
    "MemoryIndex",
    "PcmDigest",
    "Verdict",
    "find_matches",
    "make_query_keys",
    "make_stored_keys",
]

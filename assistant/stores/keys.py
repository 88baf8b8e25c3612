"""Names of everything kept in Redis. All keys of one conversation share the hash tag ``{c:ID}``.

======================== ======= ======================================================================
key                      kind    holds
======================== ======= ======================================================================
va:{c:ID}:meta           hash    owner, epoch, seq, active turn, that turn until it is claimed, created,
                                 summary, title, number of messages, tip (the answer that the next
                                 message follows)
va:{c:ID}:events         stream  what lasts: messages, tool events, ends of turns; ids are ``seq-0``
va:{c:ID}:live           stream  deltas and progress, ids from the same count; in memory only, gone an hour
                                 after the last
va:{c:ID}:idem           hash    client message id -> body hash, turn id, message id
va:{c:ID}:pending        list    turns that wait for the active one
va:{c:ID}:named          set     ids of messages and of answers, also of those that are on their way
va:{c:ID}:turn:TURN      hash    status, fence (claims), attempts (those that were not given back),
                                 options, message, cancel; first, last: the numbers of its start (the last
                                 that was a restart) and of its end
va:{o:OWNER}:sessions    zset    conversations with a message, by the time of the last (microseconds)
va:{o:OWNER}:image:ID    hash    a picture of this owner
va:{o:OWNER}:used:ID     set     sessions that use a picture
va:{o:OWNER}:pictures:ID set     pictures that a session uses
va:{o:OWNER}:sizes       hash    picture id -> bytes kept of it, for the quota
va:{o:OWNER}:source:SHA  string  id of the picture that was sent with this hash
va:{o:OWNER}:memory      hash    memory id -> what this owner has taught
va:{o:OWNER}:styles      hash    memory id -> encoder, and what it made of the picture (base64)
va:{o:OWNER}:limits      hash    token buckets, and the turns that run; in memory only
va:{o:OWNER}:sockets     hash    gateway -> how many sockets of this owner it has, until when; in memory only
va:{q}:jobs              stream  turns to run; consumer group ``workers``
va:{k}:keys              hash    id of an API key -> owner, name, scopes, expiry and the SHA-256 of the key
va:{q}:sweeper           string  there while a worker looks for lost jobs, or has just done so
va:{p}:forgotten         stream  hashes of bytes that are gone, of the last day
va:blob:SHA              string  bytes of a picture, where roles are split over machines
{va:blob:SHA}:users      hash    key of a picture with these bytes -> seconds (Unix) at which it was to be kept
{va:blob:SHA}:aside:X    string  the bytes, while it is made sure that nobody uses them
======================== ======= ======================================================================
"""

JOBS = "va:{q}:jobs"
GROUP = "workers"
GIVEN_BACK = "given back"
"""In place of a worker: has the jobs that workers gave back."""
API_KEYS = "va:{k}:keys"
REVOKED = "va:{k}:bell"
"""Channel that rings when a key is revoked."""
SWEEPER = "va:{q}:sweeper"
FORGOTTEN = "va:{p}:forgotten"
FORGOTTEN_BELL = "va:{p}:bell"
"""Channel that rings when bytes are gone."""


def meta(session_id: str) -> str:
    return f"va:{{c:{session_id}}}:meta"


def session_of(meta_name: str) -> str:
    """The session whose ``meta`` has this name."""
    return meta_name.removeprefix("va:{c:").removesuffix("}:meta")


def events(session_id: str) -> str:
    return f"va:{{c:{session_id}}}:events"


def live(session_id: str) -> str:
    return f"va:{{c:{session_id}}}:live"


def idem(session_id: str) -> str:
    return f"va:{{c:{session_id}}}:idem"


def pending(session_id: str) -> str:
    return f"va:{{c:{session_id}}}:pending"


def named(session_id: str) -> str:
    return f"va:{{c:{session_id}}}:named"


def turn(session_id: str, turn_id: str) -> str:
    return f"va:{{c:{session_id}}}:turn:{turn_id}"


def sessions(owner: str) -> str:
    return f"va:{{o:{owner}}}:sessions"


def image(owner: str, image_id: str) -> str:
    return f"va:{{o:{owner}}}:image:{image_id}"


def used(owner: str, image_id: str) -> str:
    return f"va:{{o:{owner}}}:used:{image_id}"


def pictures(owner: str, session_id: str) -> str:
    return f"va:{{o:{owner}}}:pictures:{session_id}"


def sizes(owner: str) -> str:
    return f"va:{{o:{owner}}}:sizes"


def source(owner: str, sha256: str) -> str:
    return f"va:{{o:{owner}}}:source:{sha256}"


def memory(owner: str) -> str:
    return f"va:{{o:{owner}}}:memory"


def styles(owner: str) -> str:
    return f"va:{{o:{owner}}}:styles"


def limits(owner: str) -> str:
    return f"va:{{o:{owner}}}:limits"


def sockets(owner: str) -> str:
    return f"va:{{o:{owner}}}:sockets"


def limits_bell(owner: str) -> str:
    """Channel that rings when what is left of an owner's limits changed."""
    return f"va:{{o:{owner}}}:limits:bell"


def blob(sha256: str) -> str:
    return f"va:blob:{sha256}"


def users(sha256: str) -> str:
    """In the slot of the blob, as all that begins with its name in braces."""
    return f"{{{blob(sha256)}}}:users"


def aside(sha256: str, name: str) -> str:
    return f"{{{blob(sha256)}}}:aside:{name}"


def set_aside(key: str) -> tuple[str, str]:
    """The arguments of ``aside`` that gave this name."""
    sha256, _, name = key.partition("}:aside:")
    return sha256.removeprefix("{" + blob("")), name


def bell(session_id: str) -> str:
    """Channel that rings when the log of a session grew."""
    return f"va:{{c:{session_id}}}:bell"


def cancel(session_id: str, turn_id: str) -> str:
    """Channel that rings when a turn is to stop."""
    return f"va:{{c:{session_id}}}:cancel:{turn_id}"

"""The tables of the archive and of the work queue; `docs/storage.md` says which query each serves."""

# Written once, never changed but for a tombstone, forgotten by age: files of one week are dropped whole when all in them has ended.
_BY_AGE = """compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS',
    'compaction_window_size': 7}"""
# Written again and again in place, read by key.
_IN_PLACE = "compaction = {'class': 'LeveledCompactionStrategy'}"

ARCHIVE = (
    # A history, newest first. What is false or 0 is left out: it takes no room, and a filter passes it over.
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.history (
        owner text, bucket bigint, id bigint, peer text, resource text, outgoing boolean, pending boolean, hidden boolean,
        mark bigint, stanza blob,
        PRIMARY KEY ((owner, bucket), id)) WITH CLUSTERING ORDER BY (id DESC) AND {_BY_AGE}""",
    "CREATE INDEX IF NOT EXISTS history_by_id ON {ks}.history (id)",
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.history_bucket (
        owner text, bucket bigint, PRIMARY KEY ((owner), bucket)) WITH {_IN_PLACE}""",
    # Where in the owner's history the messages of one conversation are: `home` is the bucket there.
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.conversation (
        owner text, peer text, bucket bigint, id bigint, home bigint, resource text,
        PRIMARY KEY ((owner, peer, bucket), id)) WITH CLUSTERING ORDER BY (id DESC) AND {_BY_AGE}""",
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.conversation_bucket (
        owner text, peer text, bucket bigint, PRIMARY KEY ((owner, peer), bucket)) WITH {_IN_PLACE}""",
    # Whose histories have anything in a slice (a bucket of the longest kind), so that pruning looks at nobody else.
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.history_slice (
        part int, slice bigint, PRIMARY KEY ((part), slice)) WITH {_IN_PLACE}""",
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.history_slice_owner (
        slice bigint, shard int, owner text, PRIMARY KEY ((slice, shard), owner)) WITH {_IN_PLACE}""",
)

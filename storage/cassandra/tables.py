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

# Jobs go soon after they came: their marks must not outlast the hints by which a node that was away learns of them.
_SHORT_LIVED = f"{_IN_PLACE} AND gc_grace_seconds = 10800"

WORK = (
    # A job stands in the slot of the time at which it is due. `until_us`: the end of the lease, 0 for none.
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.work_job (
        queue text, slot bigint, number bigint, node bigint, key text, due_us bigint, put_us bigint, attempts int,
        until_us bigint, payload blob,
        PRIMARY KEY ((queue, slot), number, node)) WITH {_SHORT_LIVED}""",
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.work_slot (
        queue text, day bigint, slot bigint, PRIMARY KEY ((queue, day), slot)) WITH {_SHORT_LIVED}""",
    # Which days have slots, and the slot below which all is done.
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.work_day (
        queue text, floor bigint static, day bigint, PRIMARY KEY ((queue), day)) WITH {_SHORT_LIVED}""",
    # The job that was put last with a key: older ones that still wait are void.
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.work_key (
        queue text, key text, number bigint, node bigint, PRIMARY KEY ((queue, key))) WITH {_SHORT_LIVED}""",
)

GATEWAY = (
    f"""CREATE TABLE IF NOT EXISTS {{ks}}.gateway (
        number int PRIMARY KEY, holder bigint, until_us bigint, last_id bigint) WITH {_IN_PLACE}""",
)

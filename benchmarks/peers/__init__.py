"""The same work done with other trackers, each by its own client, in the Python that has it installed.

Each script prints one JSON object: `version`; `ingest` points/s; `call` [median, 99th percentile] of a single call in
seconds; `chart` {seconds, points, spike}; `read` {seconds, points}; `table` seconds. What a tracker can't do is null.
"""

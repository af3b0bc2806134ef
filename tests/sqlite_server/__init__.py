"""A second server of the runs API, of the standard library alone: `http.server`, threads and SQLite.

It is healthy, and differs from the stand-in wherever the contract leaves a choice. It shares no code with the mock, the
suite or the stand-in.
"""

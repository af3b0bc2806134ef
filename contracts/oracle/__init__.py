"""Judges requests and answers without sending anything: is the request valid, and which rules does its answer break?

The functions have no side effects, except that `judge_create` adds ids to `seen`. The most specific violation comes
first, and one cause yields one violation: a field of the wrong type is not judged further, and neither is the content
of an answer without the documented status, content type and JSON object.
"""

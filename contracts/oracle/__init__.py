"""Judges requests and answers without sending anything: is the request valid, and which rules does its answer break?

The functions have no side effects, except that `judge_create` adds ids to `seen`. The most specific violation comes
first, and one cause yields one violation: a field of the wrong type is not judged further, and neither is the content
of an answer without the documented status, content type and JSON object.
"""

from contracts.oracle.known_run import KnownRun
from contracts.oracle.refusal import accepts
from contracts.oracle.request import CREATES, ParsedRequest, read_body, read_request
from contracts.oracle.run import difference, is_same
from contracts.oracle.run_list import ListCandidate, Query
from contracts.oracle.violation import Violation
from contracts.oracle.wording import answer_in_words, value_in_words

__all__ = ["CREATES", "KnownRun", "ListCandidate", "ParsedRequest", "Query", "Violation"]
__all__ += ["accepts", "answer_in_words", "difference", "is_same"]
__all__ += ["read_body", "read_request", "value_in_words"]

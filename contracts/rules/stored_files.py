"""Files of refused requests, which a server must not have stored."""

from contracts.data.files import MARKED_NAME
from contracts.data.limits import MAX_LIMIT
from contracts.engine import CallResult, CaseContext
from contracts.rules.list_reads import WHOLE_PAGE, items_of, total_of
from contracts.rules.writes import created_ids


def require_no_files(context: CaseContext, rule: str, cause: str) -> None:
    """Require that no file of the case's refused writes with the MARKED_NAME is listed, among the first and the last
    attachments of all runs.
    """
    if "marker" not in context.placeholders or not context.check.offers("list_run_attachments"):
        return
    name = context.fill(MARKED_NAME)
    writes = [
        CallResult.of(None, exchange)
        for exchange in context.exchanges
        if name.encode() in (exchange.request.body or b"")
    ]
    refused = [result for result in writes if result.refused]
    accepted = set(created_ids(*writes))
    if not refused:
        return
    lists = [context.call("list_run_attachments", query=[WHOLE_PAGE])]
    if (total := total_of(lists[0]) or 0) > MAX_LIMIT:
        lists.append(context.call("list_run_attachments", query=[WHOLE_PAGE, ("skip", str(total - MAX_LIMIT))]))
    for listed in lists:
        left = [
            attachment
            for attachment in items_of(listed)
            if attachment.get("filename") == name and attachment.get("run_id") not in accepted
        ]
        expected = "no file of a refused request"
        context.require(not left, rule, cause, expected, *refused, listed, got=f"attachment {name}")

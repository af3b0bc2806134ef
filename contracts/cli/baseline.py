"""The baseline: accepted findings, each with a reason and an expiry date. A check fails only on other findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import yaml

from contracts.core.findings import CheckResult, Finding, RuleResult

_ACCEPTANCE_PERIOD = timedelta(days=30)
_DEFAULT_REASON = "not yet explained"
_HEADER = """\
# Findings of `contracts check` that are accepted for now. Each has a reason, and counts until the day it expires.
# Written by --update-baseline, which keeps the entries and their reasons, but no comments.
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted finding. `expires` is the last day on which it is accepted."""

    fingerprint: str
    rule: str
    cause: str
    reason: str
    expires: date


@dataclass(frozen=True, slots=True)
class Baseline:
    accepted: tuple[Accepted, ...] = ()

    @classmethod
    def from_path(cls, path: Path) -> Baseline:
        """Read a baseline file. A missing file is an empty baseline; the first --update-baseline creates it. Raises
        click.UsageError if the file cannot be read, is not YAML, or has an invalid entry.
        """
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{path} cannot be read: {error}.") from error
        except yaml.YAMLError as error:
            raise click.UsageError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
        if document is None:
            return cls()
        if not isinstance(document, dict) or not isinstance(document.get("accepted"), list):
            raise click.UsageError(f"{path} needs a list under `accepted:`.")
        return cls(tuple(_parse_entry(entry, f"{path}: entry {n}") for n, entry in enumerate(document["accepted"], 1)))

    def valid(self, today: date) -> frozenset[str]:
        """Return the fingerprints that are accepted on this day."""
        return frozenset(entry.fingerprint for entry in self.accepted if entry.expires >= today)

    def apply(self, result: CheckResult, today: date) -> CheckResult:
        """Return the result with accepted findings moved to `baselined`, and notes on expired and fixed entries."""
        valid = self.valid(today)
        expired = {entry.fingerprint: entry for entry in self.accepted if entry.expires < today}
        baselined = tuple(finding for finding in result.findings if finding.fingerprint in valid)
        findings = tuple(finding for finding in result.findings if finding.fingerprint not in valid)
        seen = {finding.fingerprint for finding in (*result.findings, *result.unstable)}
        judged = {rule.id for rule in result.rules if rule.was_judged}
        is_whole = all(scenario.finished for scenario in result.scenarios)
        notes = [
            f"no longer accepted, it expired on {entry.expires}: {entry.rule} ({entry.fingerprint}): {entry.reason}"
            for entry in expired.values()
            if entry.fingerprint in seen
        ]
        notes += [
            f"fixed, so take it out of the baseline: {entry.rule} ({entry.fingerprint}): {entry.cause}"
            for entry in self.accepted
            if is_whole and entry.fingerprint not in seen and entry.rule in judged
        ]
        return dataclasses.replace(
            result,
            findings=findings,
            baselined=(*result.baselined, *baselined),
            rules=tuple(_without_accepted(rule, findings, baselined) for rule in result.rules),
            notes=(*result.notes, *notes),
        )

    def updated(self, findings: Sequence[Finding], today: date) -> Baseline:
        """Return a baseline that also accepts these findings. New and expired entries get a new date, others stay."""
        entries = {entry.fingerprint: entry for entry in self.accepted}
        until = today + _ACCEPTANCE_PERIOD
        for finding in findings:
            known = entries.get(finding.fingerprint)
            if known is None:
                known = Accepted(finding.fingerprint, finding.rule, finding.cause, _DEFAULT_REASON, until)
            elif known.expires < today:
                known = dataclasses.replace(known, expires=until)
            entries[finding.fingerprint] = known
        return Baseline(tuple(entries.values()))

    def write(self, path: Path) -> None:
        entries = [dataclasses.asdict(entry) for entry in self.accepted]
        text = yaml.safe_dump({"accepted": entries}, sort_keys=False, allow_unicode=True, width=120)
        path.write_text(_HEADER + text, encoding="utf-8")


def _parse_entry(entry: Any, where: str) -> Accepted:
    if not isinstance(entry, dict):
        raise click.UsageError(f"{where} is not a mapping with fingerprint, rule, cause, reason, expires.")
    for name in ("fingerprint", "rule", "reason"):
        value = entry.get(name)
        # In YAML, a fingerprint that consists of digits is a number.
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise click.UsageError(f"{where} needs a {name}.")
    if type(entry.get("expires")) is not date:
        raise click.UsageError(f"{where} needs the day it expires, as in `expires: 2030-01-31`.")
    return Accepted(
        fingerprint=str(entry["fingerprint"]),
        rule=str(entry["rule"]),
        cause=str(entry.get("cause") or ""),
        reason=str(entry["reason"]),
        expires=entry["expires"],
    )


def _without_accepted(rule: RuleResult, findings: Sequence[Finding], baselined: Sequence[Finding]) -> RuleResult:
    """Return the rule as passed if all its findings are accepted, else with the first that is not."""
    accepted = sum(finding.rule == rule.id for finding in baselined)
    if rule.status != "failed" or not accepted:
        return rule
    new = next((finding for finding in findings if finding.rule == rule.id), None)
    if new is not None:
        return dataclasses.replace(rule, why=new.expected_and_got)
    return dataclasses.replace(rule, status="passed", why=f"{accepted} accepted by the baseline")

"""The placeholders of cases, such as «session» and «secret:2», and the values that an attempt at a case gives them."""

import re
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.json_tree import map_texts
from contracts.core.made_up import MadeUp
from contracts.engine.canaries import NUMBERS
from contracts.engine.check_context import CheckContext, Ids
from contracts.engine.results import Inconclusive

SHORT: Final = 5
"""The length of the value of «short»."""
_PLACEHOLDER: Final = re.compile(r"«([a-z-]+(?::[0-9]+)?)»")


class Placeholders(dict[str, Any]):
    """The values by name. A value is made when it is first asked for:

    - `workflow`, `machine`, `pool`, `session`: an id that the target accepts; `own-session`: a session of this
      check; `uuid`: any id; `unknown`: an id that does not exist, which may be in the path of a write
    - `check-marker`: the guard's ownership marker, by which runs of this check are known
    - `marker`: a word to search for
    - `secret`, `secret-int`, `secret-real`, `secret-large`: sensitive values, which no answer may show
    - `number`, `large-number` (one that no double holds), `key` (an idempotency key), `short` (a few letters)

    A name may end with a number (`workflow:2`), for several values of a kind. A scenario may add others by name.
    """

    def __init__(self, check: CheckContext, made_up: MadeUp) -> None:
        super().__init__()
        self._check = check
        self._made_up = made_up
        self._last_secret: int | None = None

    def fill(self, value: Any) -> Any:
        """Return a JSON value with the placeholders in its texts replaced."""
        return map_texts(value, self._fill_text)

    def _fill_text(self, text: str) -> Any:
        if "«" not in text:
            return text
        whole = _PLACEHOLDER.fullmatch(text)
        return self[whole[1]] if whole else _PLACEHOLDER.sub(lambda found: str(self[found[1]]), text)

    def __missing__(self, name: str) -> Any:
        self[name] = self._make(name)
        return self[name]

    def _make(self, name: str) -> Any:
        kind, _, number = name.partition(":")
        index = int(number) if number.isdigit() else 0
        check, made_up = self._check, self._made_up
        match kind:
            case "workflow":
                if check.workflows.accepts_any_id:
                    return made_up.uuid()  # preferred, since an existing workflow may validate its inputs
                return self._id_of("workflow", check.workflows, index)
            case "machine":
                return self._id_of("machine", check.machines, index)
            case "pool":
                return self._id_of("pool", check.pools, index)
            case "session":
                if check.sessions.accepts_any_id:
                    return check.guard.new_session() if check.is_live else made_up.uuid()
                return self._id_of("session", check.sessions, index)
            case "own-session":
                return check.guard.new_session()
            case "check-marker":
                return check.guard.ownership_marker
            case "uuid":
                return made_up.uuid()
            case "unknown":
                unknown = made_up.uuid()
                check.guard.allow_unknown(unknown)
                return unknown
            case "secret":
                return check.canaries.text(self._number_of_secret())
            case "secret-int":
                return check.canaries.integer(self._number_of_secret())
            case "secret-real":
                return check.canaries.real()
            case "secret-large":
                return check.canaries.large_real()
            case "marker":
                return check.search_word(made_up)
            case "number":
                return made_up.randrange(10**14, 10**15)
            case "large-number":
                return 2 * made_up.randrange(2**53, 2**61) + 1
            case "key":
                return f"key-{made_up.uuid()}"
            case "short":
                return made_up.letters(SHORT)
        raise ValueError(f"no such placeholder: {name}")

    def _number_of_secret(self) -> int:
        """Return a number that no other secret of the case has, and probably no secret of another case."""
        if self._last_secret is None:
            self._last_secret = self._made_up.randrange(NUMBERS // 2)
        self._last_secret += 1
        return self._last_secret

    def _id_of(self, kind: str, ids: Ids, index: int) -> str:
        if index < len(ids.known) and (index > 0 or not ids.accepts_any_id):
            return ids.known[index]
        if ids.accepts_any_id:
            return self._made_up.uuid()
        if ids.known:
            raise Inconclusive(f"the case needs {counted(index + 1, kind)}, the check knows {len(ids.known)}")
        raise Inconclusive(f"no {kind} id is known that the target accepts")

"""An encoded authorization message, decoded by AWS in the account that it is about.

https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from audit_search_cli.errors import NOT_REACHED, Problem, explain_aws


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the message says, as AWS gives it."""

    document: Mapping[str, Any]

    def lines(self) -> list[str]:
        """The same for people: the decision, the statements that made it, the action, the resource, and the conditions."""
        context = self.document.get("context") or {}
        effect = "a Deny statement" if self.document.get("explicitDeny") else "no statement allows it"
        found = [f"Denied by {effect}: {context.get('action', '')} on {context.get('resource', '')}"]
        principal = context.get("principal") or {}
        found.append(f"Principal: {principal.get('arn') or principal.get('id') or ''}")
        for statement in (self.document.get("matchedStatements") or {}).get("items") or []:
            named = statement.get("statementId") or "without a Sid"
            policy = statement.get("sourcePolicyId") or statement.get("sourcePolicyType") or ""
            found.append(f"Statement {named} {policy}: {statement.get('effect', '')}".rstrip(": "))
        for item in (context.get("conditions") or {}).get("items") or []:
            values = ", ".join(str(value.get("value", "")) for value in (item.get("values") or {}).get("items") or [])
            found.append(f"{item.get('key', '')} = {values}")
        return found


def decode(client: Any, encoded: str, account: str) -> Decoded:
    """Decode a message by an STS client. Raises Problem where it belongs to another account, is refused, or is not known."""
    try:
        mine = str(client.get_caller_identity()["Account"])
        if account and mine != account:
            remedy = f"Give a --profile of the account {account}."
            raise Problem(f"The event is of the account {account}, and the credentials are of {mine}", remedy)
        answer = client.decode_authorization_message(EncodedMessage=encoded)
    except (BotoCoreError, ClientError) as error:
        raise explain_aws(error, "Decoding the message") from error
    try:
        document = json.loads(answer["DecodedMessage"])
    except ValueError as error:
        raise Problem("AWS gave a decoded message that is no JSON", "", code=NOT_REACHED) from error
    return Decoded(document if isinstance(document, dict) else {"message": document})

"""What the published client makes of each error: compares error_matrix.txt, which lists what the client tells apart, with
the answers of our server in this run. Makes docs/reference/error-matrix.md.

Each row is either produced by a test, which names the call, or REASONS says why it is not.
"""

import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/reference/error-matrix.md"

# (status, code) -> {(call, our code where the row is any other): (class, fields)}, filled by the tests of one run.
OBSERVED = {}

PROXY = "not built: calls through the server (`/sdk/proxy`)"
APPROVALS = "not built: approvals"
SECRETS = "not built: managed secrets"
POLICIES = "not built: grant policies and grants with an end"
SIBLINGS = "not built: several grants of one credential (`mint_grant`)"
NARROWING = "not built: narrowing headers; they are refused, 400 `unsupported_field`"
SCOPES = "not built: scopes of API keys"
LIFETIMES = "not built: keys that expire or are rotated"
CEILING = "not built: scope ceilings of a session; they are refused, 400 `unsupported_field`"
CALLER = "not ours: `X-Alter-Caller` is a note in the audit; no agent is looked up by it"
RECONNECT_403 = "not ours: it is 400 `credential_revoked`"
SLOW_REFRESH = (
    "only when a refresh takes longer than 20 s, or the grant changes at every try; no call of this run brings it about"
)
QUOTA = "not built: quotas and billing"
HTTP_403 = "not ours: a revoked grant is 403 `grant_revoked`"

REASONS = {
    ("404", "caller_agent_unresolved"): CALLER,
    ("500", "caller_agent_resolution_error"): CALLER,
    ("503", "caller_agent_resolution_error"): CALLER,
    ("400", "grant_revoked"): HTTP_403,
    ("502", "grant_revoked"): HTTP_403,
    ("403", "credential_revoked"): RECONNECT_403,
    ("400", "restricted_grant_requires_proxy"): PROXY,
    ("400", "delegated_grant_requires_proxy"): PROXY,
    ("400", "user_limits_require_proxy"): PROXY,
    ("403", "restricted_grant_requires_proxy"): PROXY,
    ("422", "query_too_long"): PROXY,
    ("504", "upstream_timeout"): PROXY,
    ("400", "hitl_grant_requires_proxy"): APPROVALS,
    ("429", "too_many_pending_approvals"): APPROVALS,
    ("403", "approval_denied"): APPROVALS,
    ("410", "approval_expired"): APPROVALS,
    ("502", "approval_execution_failed"): APPROVALS,
    ("400", "constraint_not_narrowing"): NARROWING,
    ("403", "step_up_required"): NARROWING,
    ("403", "redact_discharge_failed"): NARROWING,
    ("400", "scope_not_allowed"): CEILING,
    ("422", "invalid_scope_constraint"): CEILING,
    ("409", "managed_oauth_scope_approval_required"): "not ours: every app registers its own OAuth client",
    ("401", "key_expired"): LIFETIMES,
    ("401", "key_rotated_grace_expired"): LIFETIMES,
    ("401", "key_not_active"): LIFETIMES,
    ("402", "grant_limit_exceeded"): QUOTA,
    ("429", "quota_exceeded"): QUOTA,
    ("429", "billing_quota_exceeded"): QUOTA,
    ("403", "insufficient_scope"): SCOPES,
    ("403", "ip_not_allowed"): "not built: address lists of API keys",
    ("403", "grant_expired"): POLICIES,
    ("422", "invalid_grant_policy"): POLICIES,
    ("403", "grant_not_delegable"): "not built: onward delegation (`Agent.delegate`)",
    ("403", "scope_mismatch"): "not built: reports of missing scopes (`report-scope-mismatch`)",
    ("403", "agents_cannot_mint"): SIBLINGS,
    ("403", "mint_source_has_grant_rules"): SIBLINGS,
    ("409", "sibling_label_conflict"): SIBLINGS,
    ("404", "secret_not_found"): SECRETS,
    ("409", "idp_signin_not_configured"): SECRETS,
    ("409", "no_eligible_grants"): SECRETS,
    ("409", "binding_hosts_required"): SECRETS,
    ("409", "provider_contract_repair_required"): SECRETS,
    ("409", "credential_id_required"): SECRETS,
    ("409", "end_user_credential_not_assignable"): SECRETS,
    ("422", "secret_template_mismatch"): SECRETS,
    ("422", "delegated_agent_id_required"): SECRETS,
    ("409", "token_refresh_in_progress"): SLOW_REFRESH,
    ("409", "no_delegated_grant"): "not ours: it is 404 `no_delegated_grant`",
    ("410", "grant_deleted"): "not ours: grants are revoked and kept, 403 `grant_revoked`",
    ("410", "zzz"): "not ours: 410 is only `session_expired`, and only browsers get it; a poll says `expired`",
    ("422", "zzz"): "not ours: 422 is only `blocked_destination`; what is malformed is 400 `invalid_request`",
    ("500", "app_not_found_for_key"): "cannot happen: a key is stored under its app",
    ("500", "zzz"): "`server_error`: only when we fail; no call brings it about",
    ("502", "zzz"): "not ours: no provider's answer is passed on",
}


def rows():
    """(status, code) -> {column: class}, in the order of the file. Where a row occurs twice, both must be the same."""
    lines = (HERE / "error_matrix.txt").read_text().splitlines()
    columns = [name.strip() for name in lines[0].split("|")][1:]
    found = {}
    for line in lines[1:]:
        key, *classes = [part.strip() for part in line.split("|")]
        row = dict(zip(columns, classes, strict=True))
        assert found.setdefault(tuple(key.split()), row) == row, key
    return found


def produced(status, code, call, says, name, fields):
    OBSERVED.setdefault((status, code), {})[call, says or ""] = (name, tuple(sorted(fields)))


def page():
    table = rows()
    both, neither = set(OBSERVED) & set(REASONS), set(table) - set(OBSERVED) - set(REASONS)
    unknown = (set(OBSERVED) | set(REASONS)) - set(table)
    if both or neither or unknown:
        raise AssertionError(f"produced and excused: {both}; neither: {neither}; not in error_matrix.txt: {unknown}")
    lines = []
    for status, code in table:
        shown = "any other" if code == "zzz" else f"`{code}`"
        lines.append(f"| {status} | {shown} | {cell((status, code))} |")
    return HEAD.format(made=len(OBSERVED), all=len(table)) + "\n".join(lines) + "\n"


def cell(row):
    """Groups the calls that raised the same exception with the same fields."""
    if row not in OBSERVED:
        return REASONS[row]
    raised = {}
    for (call, says), what in sorted(OBSERVED[row].items()):
        raised.setdefault(what, []).append(f"`{call}`" + (f" (`{says}`)" if says else ""))
    parts = []
    for (name, fields), calls in raised.items():
        parts.append(f"`{name}`" + (f" with {', '.join(fields)}" if fields else "") + " from " + ", ".join(calls))
    return "; ".join(parts)


HEAD = """# The published backend client and our errors

Made by `tests/conformance/run` from what happened in it, the same on SQLite and on PostgreSQL. The rows are all those
that `alter-sdk` 0.29.0 tells apart. Of {all}, this version produces {made}: the third column names the exception that
the client raised, the fields that were checked on it, and the calls that met it (in the rows of any other code, with
our code). The others say why not.

| Status | `error` | What the client raised, or why it is not met |
|---|---|---|
"""


def compare(engine):
    made = page()
    if os.environ.get("UPDATE_MATRIX"):
        PAGE.write_text(made)
    if not PAGE.exists() or PAGE.read_text() != made:
        print(f"{engine}: docs/reference/error-matrix.md is out of date: UPDATE_MATRIX=1 tests/conformance/run", flush=True)
        return False
    return True
